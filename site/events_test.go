package domain

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wildout/wildout/api/v1alpha1"
)

func TestEventTypes(t *testing.T) {
	thousand := `"a@b.example"` + strings.Repeat(`,"a@b.example"`, 999)
	cases := map[string]struct{ good, bad []string }{
		"user-registered": {
			good: []string{`{"userId":"u","email":"u@x.example"}`, `{"userId":"u","email":"u@x.example","timestamp":1,"extra":true}`},
			bad:  []string{`{}`, `{"userId":"u"}`, `{"userId":"u","email":"nobody"}`, `{"userId":"u","email":"u@x.example","timestamp":"now"}`},
		},
		"event-created": {
			good: []string{`{"eventId":"e","title":"T","createdBy":"u"}`},
			bad:  []string{`{"eventId":"e","title":"","createdBy":"u"}`, `{"eventId":"e","title":"T"}`, `{"eventId":"e","title":"` + strings.Repeat("x", 201) + `","createdBy":"u"}`},
		},
		"audit-log": {
			good: []string{`{"action":"LOGIN","userId":"u"}`, `{"action":"LOGIN","userId":"u","details":{"a":1},"ip":"::1"}`},
			bad:  []string{`{"action":"","userId":"u"}`, `{"action":"LOGIN"}`, `{"action":"LOGIN","userId":"u","details":"text"}`},
		},
		"email-send": {
			good: []string{`{"subject":"S","body":"B","to":"a@b.example"}`, `{"subject":"S","body":"B","recipients":[` + thousand + `]}`},
			bad: []string{
				`{"subject":"S","body":"B"}`, `{"subject":"S","body":"B","to":"a@b.example","recipients":["a@b.example"]}`,
				`{"subject":"S","body":"B","recipients":[]}`, `{"subject":"S","body":"B","recipients":["nobody"]}`,
				`{"subject":"S","body":"B","recipients":["a@b.example",` + thousand + `]}`, `{"body":"B","to":"a@b.example"}`,
			},
		},
		"security-alert": {
			good: []string{`{"type":"t","userId":"u","severity":"HIGH"}`, `{"type":"t","userId":"u","severity":"LOW","attempts":3,"action":"A","timestamp":1}`},
			bad:  []string{`{"type":"t","userId":"u","severity":"high"}`, `{"type":"t","userId":"u"}`},
		},
		"system-maintenance": {
			good: []string{`{"task":"health-check"}`},
			bad:  []string{`{}`, `{"task":"reboot"}`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			eventType := read[v1alpha1.WildoutEventType](t, manifests+"/event-types/"+name+".yaml")
			if eventType.Kind != "WildoutEventType" || eventType.Name != name || strings.ReplaceAll(string(eventType.Spec.Type), "/", "-") != name {
				t.Errorf("it holds the %s %q of type %q", eventType.Kind, eventType.Name, eventType.Spec.Type)
			}
			schema := compile(t, eventType.Spec.Schema.Raw)
			for _, data := range c.good {
				if err := schema.Validate(parse(t, data)); err != nil {
					t.Errorf("%.80s is refused: %v", data, err)
				}
			}
			for _, data := range c.bad {
				if schema.Validate(parse(t, data)) == nil {
					t.Errorf("%.80s is accepted", data)
				}
			}
		})
	}
}

func compile(t *testing.T, raw []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // as the gateway does: format email is a rule
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func parse(t *testing.T, data string) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
