package wildout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

func TestStepContextEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(cancelParent, cancelOwn context.CancelFunc)
		want error
	}{
		"with its parent":    {func(parent, _ context.CancelFunc) { parent() }, context.Canceled},
		"with its attempt":   {func(_, own context.CancelFunc) { own() }, context.Canceled},
		"at its deadline":    {func(_, _ context.CancelFunc) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"not before any end": {func(_, _ context.CancelFunc) { time.Sleep(time.Second / 2) }, nil},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancelParent := context.WithCancel(context.Background())
					defer cancelParent()
					ctx, cancelOwn := wildout.NewStepContext(parent, wildout.RunInfo{Step: "s", Deadline: time.Now().Add(time.Second)}, nil)
					defer cancelOwn()
					var child context.Context
					if asked { // before the end, which makes it a real one
						var stop context.CancelFunc
						child, stop = context.WithCancel(ctx)
						defer stop()
					}
					tc.end(cancelParent, cancelOwn)
					synctest.Wait()
					if err := ctx.Err(); !errors.Is(err, tc.want) {
						t.Errorf("Err() = %v, want %v", err, tc.want)
					}
					if child != nil && !errors.Is(child.Err(), tc.want) {
						t.Errorf("a child's Err() = %v, want %v", child.Err(), tc.want)
					}
					select {
					case <-ctx.Done():
						if tc.want == nil {
							t.Error("Done is closed too early")
						}
					default:
						if tc.want != nil {
							t.Error("Done is not closed")
						}
					}
					if wildout.Info(ctx).Step != "s" {
						t.Error("Info does not find the step")
					}
				})
			})
		}
	}
}
