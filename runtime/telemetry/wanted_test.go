package telemetry

import "testing"

func TestWanted(t *testing.T) {
	type env map[string]string
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, tc := range map[string]struct {
		env   env
		want  bool
		fault bool
	}{
		"nothing":             {env{}, false, false},
		"endpoint":            {env{endpoint: "http://c:4318"}, true, false},
		"endpoint of traces":  {env{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, true, false},
		"endpoint of metrics": {env{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, false, false},
		"disabled":            {env{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, false, false},
		"no exporter":         {env{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, false, false},
		"one of several":      {env{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "console,otlp"}, true, false},
		"HTTP":                {env{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, true, false},
		"gRPC":                {env{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, true},
		"gRPC for the others": {env{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wanted(func(name string) string { return tc.env[name] })
			if got != tc.want || (err != nil) != tc.fault {
				t.Errorf("wanted = %v, %v", got, err)
			}
		})
	}
}

func TestStem(t *testing.T) {
	for path, want := range map[string]string{"send": "send", "send[3]": "send", "send[3]/inner": "send/inner", "a/b": "a/b"} {
		if got := stem(path); got != want {
			t.Errorf("stem(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestIDsFollowFromTheRun(t *testing.T) {
	const run, other = "01M84NZ7YNA05NFE927DRRJDRB", "01M84NZ7YNFS913007D6R7H32R"
	for _, id := range []string{run, "an id of another form"} {
		trace, span := traceOf(id), spanOf(id, "")
		if !trace.IsValid() || !span.IsValid() || trace != traceOf(id) || span != spanOf(id, "") {
			t.Errorf("the ids of %s are not valid, or differ from time to time", id)
		}
	}
	seen := map[any]string{}
	for name, id := range map[string]any{
		"trace of run": traceOf(run), "trace of other": traceOf(other), "run": spanOf(run, ""), "other": spanOf(other, ""),
		"step of run": spanOf(run, "a"), "another step": spanOf(run, "b"), "step of other": spanOf(other, "a"),
	} {
		if before, twice := seen[id]; twice {
			t.Errorf("%s and %s have the id %v", before, name, id)
		}
		seen[id] = name
	}
}
