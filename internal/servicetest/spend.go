package servicetest

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// Spent is what a call took of the process.
type Spent struct {
	Time time.Duration
	// Allocated is all that was allocated, in bytes, whether it was freed
	// meanwhile or not. It does not depend on how busy the machine is.
	Allocated uint64
	// Peak is by how much the heap was larger than before, in bytes, as it was
	// seen every half of a millisecond.
	Peak uint64
}

func (s Spent) String() string {
	return fmt.Sprintf("%.1f MB allocated, %.1f MB at the most, %s", float64(s.Allocated)/1e6, float64(s.Peak)/1e6, s.Time.Round(time.Millisecond))
}

// Spend measures a call. What runs beside it counts too.
func Spend(call func()) Spent {
	runtime.GC()
	before := readHeap()
	peak := before.heap
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				peak = max(peak, readHeap().heap)
			}
		}
	})
	began := time.Now()
	call()
	took := time.Since(began)
	after := readHeap()
	close(stop)
	watch.Wait()
	return Spent{Time: took, Allocated: after.allocated - before.allocated, Peak: max(peak, after.heap) - before.heap}
}

type heap struct{ heap, allocated uint64 }

func readHeap() heap {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
