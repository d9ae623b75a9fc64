package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
	"github.com/wildout/wildout/runtime/event"
)

// TestAttacks evaluates short expressions that make much of an event which is
// within its limits, in each form in which values become bytes. What is judged
// is all that was allocated, which does not depend on how busy the machine is.
func TestAttacks(t *testing.T) {
	text := strings.Repeat("aB ", 3_300)    // 10 KB, 4,000 times: 40 MB
	large := strings.Repeat("aB ", 110_000) // 330 KB
	var unique strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&unique, "%d,", i)
	}
	data := fmt.Sprintf(`{"s":%q,"large":%q,"list":[%s8],"unique":[%s-1]}`, text, large, strings.Repeat("7,", 20_000), unique.String())
	const (
		larger     = "larger than 4194304 bytes, the limit for a value"
		longText   = "would make a text of more than 4194304 bytes"
		longList   = "would make a list of more than 100000 elements"
		operations = "takes more than 1000000 operations"
	)
	for expression, want := range map[string]string{
		// Values that are small until they are written.
		`lists.range(4000).map(i, event.data.s)`:                           larger,
		`lists.range(4000).map(i, {'a': event.data.s})`:                    larger,
		`lists.range(4000).map(i, {event.data.s: i})`:                      larger,
		`lists.range(4000).map(i, event.data)`:                             larger,
		`lists.range(4000).map(i, event)`:                                  larger,
		`lists.range(4000).map(i, optional.of(event.data.s))`:              larger,
		`lists.range(2).map(l, lists.range(4000).map(i, event.data.s))`:    larger,
		`[` + strings.Repeat("event.data.large,", 14) + `event.data.list]`: larger,
		// The functions of ours write values too.
		`json(lists.range(4000).map(i, event))`: larger,
		`html(lists.range(4000).map(i, event))`: larger,
		// Calls that make much.
		`('` + strings.Repeat("%s", 30) + `').format([` + strings.Repeat("event.data.large,", 30) + `])`: "format " + longText,
		`'%s %s'.format([lists.range(4000).map(i, event.data.s), {'a': 1}])`:                             "format " + longText,
		`event.data.large.replace('a', event.data.s)`:                                                    "replace " + longText,
		`lists.range(4000).map(i, event.data.s).join(',')`:                                               "join " + longText,
		`event.data.large.split('')`:                                                                     "split " + longList,
		`event.data.large.split('a')`:                                                                    "split " + longList,
		`event.data.large.split('', 200000)`:                                                             "split " + longList,
		`lists.range(4000).map(i, event.data.list).flatten()`:                                            "flatten " + longList,
		`lists.range(6).map(i, [event.data.list]).flatten(2)`:                                            "flatten " + longList,
		// Small calls, many times.
		`lists.range(1000).map(i, event.data.large.lowerAscii())`:   operations,
		`lists.range(1000).map(i, event.data.large.toLower())`:      operations,
		`lists.range(1000).map(i, event.data.large.reverse())`:      operations,
		`lists.range(1000).map(i, event.data.list.reverse())`:       operations,
		`lists.range(1000).map(i, strings.quote(event.data.large))`: operations,
		`lists.range(1000).map(i, '%s'.format([event.data.large]))`: operations,
		`lists.range(1000).map(i, bytes(event.data.large))`:         operations,
		`lists.range(1000).map(i, event.data.large + event.data.s)`: operations,
		`lists.range(1000).map(i, event.data.large + 'x')`:          operations,
		`lists.range(1000).exists(i, -2 in event.data.unique)`:      operations,
		`lists.range(1000).map(i, string(bytes(event.data.large)))`: operations,
		`lists.range(1000).map(i, [event.data.list].flatten())`:     operations,
		// Calls that compare much: they are not begun, and what they would cost is
		// charged.
		`event.data.unique.distinct()`:                          operations,
		`sets.contains(event.data.unique, event.data.unique)`:   operations,
		`sets.equivalent(event.data.unique, event.data.unique)`: operations,
		`sets.intersects(event.data.unique, event.data.list)`:   operations,
		`event.data.large.indexOf(event.data.s + 'c')`:          operations,
		// What is within the bounds.
		`lists.range(100).map(i, event.data.s)`:                            "",
		`'%s-%d'.format([event.data.s, 7])`:                                "",
		`event.data.s.split(' ').size()`:                                   "",
		`event.data.large.split(' ', 2).size()`:                            "",
		`[[1, [2]], [3]].flatten(2)`:                                       "",
		`[3, 1, 3].distinct()`:                                             "",
		`event.data.s.reverse().size() + event.data.list.reverse().size()`: "",
		`sets.contains(event.data.unique, [1, 19999])`:                     "",
		`event.data.s.indexOf('B') + event.data.large.lastIndexOf('B')`:    "",
	} {
		t.Run(expression[:min(len(expression), 60)], func(t *testing.T) {
			for form, tree := range map[string]string{"alone": `"${%s}"`, "in text": `"a ${%s}"`, "in a list": `["${%s}"]`} {
				v := valueOf(t, fmt.Sprintf(tree, expression))
				s := &Scope{Event: &event.Event{ID: "e", Data: json.RawMessage(data)}}
				var err error
				spent := servicetest.Spend(func() { _, err = v.JSON(s) })
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: error %.300v, want %q", form, err, want)
				}
				if spent.Allocated > 100<<20 {
					t.Errorf("%s: %s", form, spent)
				}
				t.Log(form, spent)
			}
		})
	}
}

func TestElementsOfAListHaveOneLimit(t *testing.T) {
	s := &Scope{Event: &event.Event{ID: "e", Data: json.RawMessage(fmt.Sprintf(`{"s":%q}`, strings.Repeat("a", 10_000)))}}
	v := valueOf(t, `"${lists.range(4000).map(i, event.data.s)}"`)
	var err error
	spent := servicetest.Spend(func() { _, err = v.List(s) })
	if err == nil || !strings.Contains(err.Error(), "larger than 4194304 bytes") || spent.Allocated > 50<<20 {
		t.Errorf("error %v, %s", err, spent)
	}
	if text, err := v.Text(s); err == nil {
		t.Errorf("as text it has %d bytes", len(text))
	}
	v = valueOf(t, `"${lists.range(3).map(i, {'i': i, 's': event.id})}"`)
	list, err := v.List(s)
	if got := fmt.Sprintf("%s", list); err != nil || got != `[{"i":0,"s":"e"} {"i":1,"s":"e"} {"i":2,"s":"e"}]` {
		t.Errorf("list %s, %v", got, err)
	}
}
