package plan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func requestScope() *Scope {
	return &Scope{Request: &Request{
		Webhook: "shop",
		Body:    json.RawMessage(`{"action": "paid", "amount": 9007199254740993, "items": [{"sku": "a"}, {"sku": "b"}]}`),
		Headers: map[string]string{"x-shop-event": "order", "content-type": "application/json"},
		Query:   map[string]string{"tenant": "t1"},
	}}
}

func TestMapping(t *testing.T) {
	m, err := CompileMapping("webhooks[0].events[0]", MappingSpec{
		If: "headers['x-shop-event'] == 'order' && body.action in ['paid', 'sent']", ForEach: "${body.items}",
		Type: "shop/order.${body.action}", ID: "${body.amount}.${item.sku}", Subject: "${query.tenant}/${name}",
		Data: json.RawMessage(`{"amount": "${body.amount}", "item": "${item}", "from": "${headers['x-shop-event']}"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := requestScope()
	if holds, err := m.If.Bool(s); err != nil || !holds {
		t.Fatalf("if: %v, %v", holds, err)
	}
	items, err := m.ForEach.List(s)
	if err != nil || len(items) != 2 {
		t.Fatalf("forEach: %s, %v", items, err)
	}
	s.Item = items[1]
	for name, c := range map[string]struct {
		value *Value
		want  string
	}{
		"type": {m.Type, "shop/order.paid"}, "id": {m.ID, "9007199254740993.b"}, "subject": {m.Subject, "t1/shop"},
		"data": {m.Data, `{"amount":9007199254740993,"item":{"sku":"b"},"from":"order"}`},
	} {
		got, err := c.value.Text(s)
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, c.want)
		}
	}
}

// TestMappingWithoutARequest reads null where there is nothing to read.
func TestMappingWithoutARequest(t *testing.T) {
	m, err := CompileMapping("m", MappingSpec{Type: "a", Data: json.RawMessage(`{"a": "${body}", "b": "${[headers, query]}"}`)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request *Request
		want    string
	}{
		"no request":    {nil, `{"a":null,"b":[null,null]}`},
		"empty request": {&Request{Body: json.RawMessage("[]")}, `{"a":[],"b":[{},{}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := m.Data.JSON(&Scope{Request: c.request}); err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestMappingFaults(t *testing.T) {
	for name, c := range map[string]struct {
		spec MappingSpec
		want string
	}{
		"no type":         {MappingSpec{}, "m.type: is missing: write an event type"},
		"a bad type":      {MappingSpec{Type: "a b"}, `m.type: "a b" is no such name`},
		"event":           {MappingSpec{Type: "a", If: "event.type == 'a'"}, "m.if: event does not exist here, only in functions; here there are body, headers, query, name\n    event.type == 'a'\n    ^"},
		"env":             {MappingSpec{Type: "a", Subject: "${env.A}"}, "m.subject: env does not exist here, only in functions"},
		"steps":           {MappingSpec{Type: "a", Subject: "${steps.a.output}"}, "m.subject: steps does not exist here"},
		"item":            {MappingSpec{Type: "a", ID: "${item.id}"}, "m.id: item does not exist here, only with forEach"},
		"item in if":      {MappingSpec{Type: "a", If: "item.a", ForEach: "${body.b}"}, "m.if: item does not exist here"},
		"a misspelt name": {MappingSpec{Type: "a", If: "bdy.x == 1"}, "m.if: unknown name bdy; here there are body, headers, query, name\n    bdy.x == 1\n    ^"},
		"a header":        {MappingSpec{Type: "a", If: "headers.x-event == 'a'"}, "m.if: the name x-event cannot follow a dot: write headers['x-event']\n    headers.x-event == 'a'\n    ^"},
		"no condition":    {MappingSpec{Type: "a", If: "headers['a']"}, "m.if: this gives a string, it must give true or false"},
		"data no object":  {MappingSpec{Type: "a", Data: json.RawMessage(`[1]`)}, "m.data: this is a list, it must be an object"},
		"in data":         {MappingSpec{Type: "a", Data: json.RawMessage(`{"a": {"b": ["${body.}"]}}`)}, "m.data.a.b[0]: \".\" is not expected here\n    ${body.}\n           ^"},
		"forEach text":    {MappingSpec{Type: "a", ForEach: "body.items"}, "m.forEach: this is the text \"body.items\"; write one ${expression} that gives a list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := CompileMapping("m", c.spec)
			var faults Errors
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want Errors with %q", err, c.want)
			}
		})
	}
}

func TestMappingEvaluationErrors(t *testing.T) {
	for name, c := range map[string]struct{ expression, want string }{
		"a field":       {"body.order.id", `m.subject: body has no field "order"; it has action, amount, items`},
		"deeper":        {"body.items[0].name", `m.subject: body.items[0] has no field "name"; it has sku`},
		"an element":    {"body.items[2].sku", "body.items has 2 elements, there is no element 2"},
		"of a string":   {"body.action.name", `body.action is a string, it has no field "name"`},
		"a header":      {"headers['x-other']", `headers has no field "x-other"; it has content-type, x-shop-event`},
		"a parameter":   {"query.page", `query has no field "page"; it has tenant`},
		"in a function": {"body.items.map(i, i.name)[0]", `there is no field "name"; test for it with has(...)`},
		"cost":          {"lists.range(9000).map(a, lists.range(9000).map(b, a * b))[0]", "takes more than 1000000 operations"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := CompileMapping("m", MappingSpec{Type: "a", Subject: "${" + c.expression + "}"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = m.Subject.Text(requestScope()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
