package main

import (
	"context"
	"errors"
	"time"

	wildout "github.com/wildout/wildout/runtime"
)

type order struct {
	ID string `json:"orderId"`
}

type payment struct {
	Sum float64 `json:"sum"`
}

type receipt struct {
	Parcel string `json:"parcel"`
}

// process takes an order from its confirmation to its delivery, as a whole
// function of config/samples/handler-that-waits.yaml. It may take weeks.
func process(ctx context.Context, o order) (receipt, error) {
	if _, err := wildout.Step(ctx, "reserve", func(ctx context.Context) (bool, error) { return true, reserve(ctx, o.ID) }); err != nil {
		return receipt{}, err
	}
	paid, err := wildout.WaitForEvent[payment](ctx, "paid", wildout.WaitOptions{Event: "payment/received", Match: "data.orderId", Timeout: 72 * time.Hour})
	if err != nil {
		return receipt{}, err
	}
	if paid == nil {
		return receipt{}, wildout.NonRetriable(errors.New("nobody has paid within three days"))
	}
	if err := wildout.Sleep(ctx, "cooling-off", coolingOff); err != nil {
		return receipt{}, err
	}
	return wildout.Invoke[receipt](ctx, "ship", "ship-order", map[string]any{"orderId": o.ID, "sum": paid.Data.Sum})
}

// coolingOff is short here: it is an example.
const coolingOff = 100 * time.Millisecond

// reserve stands for a warehouse.
func reserve(context.Context, string) error { return nil }
