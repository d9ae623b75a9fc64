package servicetest_test

import (
	"strings"
	"testing"

	"github.com/wildout/wildout/internal/servicetest"
)

func TestNodeCommandFindsThePackages(t *testing.T) {
	cmd := servicetest.NodeCommand(t, `import {Inngest} from "inngest"; console.log(typeof Inngest, process.argv[2])`, "given")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := strings.TrimSpace(string(output)); got != "function given" {
		t.Errorf("output %q", got)
	}
}
