package store

import (
	"testing"
	"time"

	"github.com/wildout/wildout/internal/servicetest"
)

func TestClockIsTheServers(t *testing.T) {
	local := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // years behind
	c := openAt(t, Options{URL: servicetest.StartRedis(t).URL(), Now: func() time.Time { return local }})
	first, err := c.Clock(t.Context())
	if err != nil || time.Since(first).Abs() > time.Minute {
		t.Fatalf("the clock shows %s, %v", first, err)
	}
	trips := c.Traffic().RoundTrips
	local = local.Add(time.Hour)
	if later, err := c.Clock(t.Context()); err != nil || later.Sub(first) != time.Hour {
		t.Errorf("an hour later it shows %s, %v", later, err)
	}
	if c.Traffic().RoundTrips != trips {
		t.Error("it asks each time")
	}
	c.NoteClock(first)
	if later, _ := c.InNamespace("other").Clock(t.Context()); !later.Equal(first) {
		t.Errorf("after it was read again it shows %s, want %s", later, first)
	}
}
