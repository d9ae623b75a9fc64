// Command runner is a runner with handlers of its own. docs/cli.md says how to
// try it.
package main

import (
	"context"

	wildout "github.com/wildout/wildout/runtime"
	"github.com/wildout/wildout/runtime/runner"
)

type person struct {
	Name string `json:"name"`
}

func main() {
	wildout.Register("greeting.write", func(_ context.Context, p person) (string, error) {
		return "Hello, " + p.Name + "!", nil
	})
	wildout.Register("order.process", process)
	runner.Main()
}
