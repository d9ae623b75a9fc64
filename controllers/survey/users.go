package survey

import (
	"iter"

	"k8s.io/apimachinery/pkg/types"
)

// Who uses a Secret, and which Secrets lead to a server, is kept with them: with
// ten thousand functions and hundreds of servers each look at one of them would
// else go through all. The lock is held in what follows.

// users are the functions and event types that use a Secret.
type users struct {
	functions map[types.NamespacedName]*function
	types     map[types.NamespacedName]*eventType
}

func (u *users) used() bool { return len(u.functions)+len(u.types) > 0 }

func secretOfFunction(f *function) types.NamespacedName {
	return types.NamespacedName{Namespace: f.Name.Namespace, Name: f.Secret}
}

func secretOfType(t *eventType) types.NamespacedName {
	return types.NamespacedName{Namespace: t.Name.Namespace, Name: t.Secret}
}

// putFunction makes a function known, in place of an earlier one of its name.
func (p *Poller) putFunction(f *function) {
	p.dropFunction(f.Name)
	p.functions[f.Name] = f
	p.secretOf(secretOfFunction(f)).functions[f.Name] = f
}

func (p *Poller) dropFunction(name types.NamespacedName) {
	if f := p.functions[name]; f != nil {
		delete(p.secretOf(secretOfFunction(f)).functions, name)
		delete(p.functions, name)
	}
}

// putType is putFunction for an event type.
func (p *Poller) putType(t *eventType) {
	p.dropType(t.Name)
	p.types[t.Name] = t
	p.secretOf(secretOfType(t)).types[t.Name] = t
}

func (p *Poller) dropType(name types.NamespacedName) {
	if t := p.types[name]; t != nil {
		delete(p.secretOf(secretOfType(t)).types, name)
		delete(p.types, name)
	}
}

// leadTo notes to which server a Secret leads; nil: to none.
func (p *Poller) leadTo(name types.NamespacedName, s *secret, server *server) {
	if s.server != nil {
		delete(s.server.secrets, name)
	}
	s.server = server
	if server != nil {
		server.secrets[name] = s
	}
}

// functionsAt are the functions that use a server.
func (s *server) functionsAt() iter.Seq2[types.NamespacedName, *function] {
	return usersAt(s, func(u *users) map[types.NamespacedName]*function { return u.functions })
}

// typesAt is functionsAt for event types.
func (s *server) typesAt() iter.Seq2[types.NamespacedName, *eventType] {
	return usersAt(s, func(u *users) map[types.NamespacedName]*eventType { return u.types })
}

func usersAt[T any](s *server, of func(*users) map[types.NamespacedName]T) iter.Seq2[types.NamespacedName, T] {
	return func(yield func(types.NamespacedName, T) bool) {
		for _, secret := range s.secrets {
			for name, user := range of(&secret.users) {
				if !yield(name, user) {
					return
				}
			}
		}
	}
}

// names are those of the users of Secrets.
func namesOf(secrets ...*secret) (functions, eventTypes []types.NamespacedName) {
	for _, s := range secrets {
		for name := range s.functions {
			functions = append(functions, name)
		}
		for name := range s.types {
			eventTypes = append(eventTypes, name)
		}
	}
	return functions, eventTypes
}
