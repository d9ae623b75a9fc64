package main

import (
	"os"
	"strings"
	"testing"
)

func TestDocumentationHasTheSettingsOfTheGateway(t *testing.T) {
	text, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	var g gatewaySettings
	for _, s := range g.all() {
		found := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| `--") && strings.Contains(line, "`--"+s.Flag+"`") {
				found = s.Default == "" || strings.Contains(line, "| `"+s.Default+"` |")
			}
		}
		if !found {
			t.Errorf("docs/gateway.md does not have --%s with the default %q", s.Flag, s.Default)
		}
	}
}

func TestSettingsOfTheGatewayThatDoNotFit(t *testing.T) {
	const redis = "--redis-url=redis://127.0.0.1:1/0"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no Redis":          {[]string{"--anyone"}, "no Redis"},
		"nobody":            {[]string{redis}, "nobody could send"},
		"both":              {[]string{redis, "--anyone", "--config", "x"}, "exclude each other"},
		"half of TLS":       {[]string{redis, "--anyone", "--tls-cert", "x"}, "one is missing"},
		"a size":            {[]string{redis, "--anyone", "--max-body", "much"}, "--max-body (WILDOUT_MAX_BODY)"},
		"a file not there":  {[]string{redis, "--config", "none.yaml"}, "none.yaml"},
		"an argument":       {[]string{"x"}, "unknown command"},
		"bodies do not fit": {[]string{redis, "--anyone", "--max-body", "2Mi", "--max-request-bytes", "1Mi"}, "one must fit"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := gatewayCommand()
			cmd.SetArgs(c.args)
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
