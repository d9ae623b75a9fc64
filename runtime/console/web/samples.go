package web

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wildout/wildout/runtime/console"
)

// spark is a small chart without axes.
type spark struct{ Bars, Text string }

// sparkPoints is how many places a spark has.
const sparkPoints = 30

func newSpark(values []float64, text string) spark {
	values = squeeze(values, sparkPoints)
	top := 0.0
	for _, v := range values {
		if !math.IsNaN(v) {
			top = max(top, v)
		}
	}
	if top == 0 {
		return spark{Text: text}
	}
	return spark{bars(values, top, 28), text}
}

// squeeze makes n values of more of them: the mean of those that are there.
func squeeze(values []float64, n int) []float64 {
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		sum, found := 0.0, 0.0
		for _, v := range values[i*len(values)/n : (i+1)*len(values)/n] {
			if !math.IsNaN(v) {
				sum += v
				found++
			}
		}
		out[i] = sum / found // NaN when there is none
	}
	return out
}

// recent cuts off what is before the first thing that was measured, and leaves
// a least length.
func recent(s console.Series, least time.Duration) console.Series {
	first := len(s.Samples)
	for i := range s.Samples {
		if x := &s.Samples[i]; x.Load != nil || x.Latency != nil {
			first = i
			break
		}
	}
	step := time.Duration(max(1, s.StepSeconds)) * time.Second
	return lastOf(s, max(least, time.Duration(len(s.Samples)-first)*step))
}

// lastOf cuts a series down to its end.
func lastOf(s console.Series, length time.Duration) console.Series {
	n := int(length / (time.Duration(max(1, s.StepSeconds)) * time.Second))
	s.Samples = s.Samples[max(0, len(s.Samples)-n):]
	return s
}

// measured picks a value of each sample.
func measured(s console.Series, pick func(*console.Sample) float64) []float64 {
	out := make([]float64, len(s.Samples))
	for i := range s.Samples {
		out[i] = pick(&s.Samples[i])
	}
	return out
}

func rateOf(step int) func(*console.Sample) float64 {
	return func(s *console.Sample) float64 { return float64(s.Succeeded+s.Failed) * 60 / float64(max(1, step)) }
}

func p50(s *console.Sample) float64 {
	if s.Latency == nil {
		return math.NaN()
	}
	return float64(s.Latency.P50)
}

func p99(s *console.Sample) float64 {
	if s.Latency == nil {
		return math.NaN()
	}
	return float64(s.Latency.P99)
}

func load(pick func(*console.Load) int64) func(*console.Sample) float64 {
	return func(s *console.Sample) float64 {
		if s.Load == nil {
			return math.NaN()
		}
		return float64(pick(s.Load))
	}
}

func millis(v float64) string { return duration(time.Duration(v * float64(time.Millisecond))) }

func whole(v float64) string { return count(int64(math.Round(v))) }

func perMinute(v float64) string {
	if v > 0 && v < 10 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return whole(v)
}
