package survey

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wildout/wildout/controllers/view"
	"github.com/wildout/wildout/runtime/store"
)

// Whatever comes, changes and goes: a server has those that use it, and no others.
func TestWhoUsesAServer(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t)
		random := rand.New(rand.NewPCG(seed, 1))
		some := func(of string, n int) string { return fmt.Sprint(of, random.IntN(n)) }
		for range 300 {
			name := types.NamespacedName{Namespace: some("space-", 3), Name: some("f", 8)}
			switch random.IntN(6) {
			case 0:
				r.Follow(Function{Name: name, Secret: some("secret-", 3), Types: []string{"a"}})
			case 1:
				r.FollowType(EventType{Name: name, Secret: some("secret-", 3), Type: some("t", 3)})
			case 2:
				r.Forget(name)
			case 3:
				r.ForgetType(name)
			case 4: // a Secret is read: it leads somewhere, or nowhere
				found, options := view.Secret{Problem: view.Fine}, store.Options{URL: "redis://" + some("host-", 4) + ":6379/0"}
				if random.IntN(4) == 0 {
					found = view.Secret{Problem: view.NotFound}
				}
				r.mu2(func() {
					r.noteSecret(types.NamespacedName{Namespace: name.Namespace, Name: some("secret-", 3)}, found, options)
				})
			case 5:
				r.now = r.now.Add(lastsFor / 2)
				r.dueSecrets()
			}
			r.mu2(func() { checkUsers(t, r.Poller) })
		}
	}
}

// mu2 calls a function with the lock of the Poller held; mu is the rig's.
func (r *rig) mu2(do func()) {
	r.Poller.mu.Lock()
	defer r.Poller.mu.Unlock()
	do()
}

func checkUsers(t *testing.T, p *Poller) {
	t.Helper()
	for id, s := range p.servers {
		functions, eventTypes := map[types.NamespacedName]*function{}, map[types.NamespacedName]*eventType{}
		for name, f := range p.functions {
			if known := p.secrets[secretOfFunction(f)]; known != nil && known.server == s {
				functions[name] = f
			}
		}
		for name, e := range p.types {
			if known := p.secrets[secretOfType(e)]; known != nil && known.server == s {
				eventTypes[name] = e
			}
		}
		if got := maps.Collect(s.functionsAt()); !maps.Equal(got, functions) {
			t.Fatalf("%s has the functions %v, want %v", id, slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(functions)))
		}
		if got := maps.Collect(s.typesAt()); !maps.Equal(got, eventTypes) {
			t.Fatalf("%s has the event types %v, want %v", id, slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(eventTypes)))
		}
	}
}
