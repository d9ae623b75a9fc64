package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// curve is a line of a chart, or its bars: paths in a box of 100 by 100.
type curve struct {
	Name, Last string
	Path, Area string
	Bars       string
}

// chart is a chart of the last hour with its values as a table.
type chart struct {
	ID, Title string
	Curves    []curve
	Lines     []chartLine
	Times     []chartTime
	Rows      []chartRow
}

// chartLine is a horizontal rule, chartTime a place on the axis of time.
type chartLine struct {
	Y    string
	Text string
}

type chartTime struct {
	X    float64
	Text string
}

type chartRow struct {
	Time   string
	Values []string
}

// Spoken is the chart in a sentence.
func (c *chart) Spoken() string {
	text := c.Title + ", last hour."
	for _, curve := range c.Curves {
		text += " " + curve.Name + " now: " + curve.Last + "."
	}
	return text
}

// The place of the curves within a chart, in pixels.
const (
	plotTop    = 8
	plotHeight = 120
)

// chartPoints is how many places a curve has at most.
const chartPoints = 60

// series are the values of one curve; NaN where nothing was measured. Bars are
// for what is measured now and then.
type series struct {
	name   string
	values []float64
	bars   bool
}

// newChart draws series of the same length. format writes a value.
func newChart(id, title string, times []time.Time, all []series, format func(float64) string) chart {
	c := chart{ID: id, Title: title}
	drawn := make([][]float64, len(all))
	most := 0.0
	for i, s := range all {
		drawn[i] = squeeze(s.values, chartPoints)
		for _, v := range drawn[i] {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	top := niceTop(most)
	for i, s := range all {
		shown := curve{Name: s.name, Last: last(s.values, format)}
		if s.bars {
			shown.Bars = bars(drawn[i], top, 100)
		} else {
			shown.Path, shown.Area = paths(drawn[i], top, 100)
		}
		c.Curves = append(c.Curves, shown)
	}
	for _, part := range []float64{1, .5} {
		c.Lines = append(c.Lines, chartLine{strconv.FormatFloat(plotTop+plotHeight*(1-part), 'f', 1, 64), format(top * part)})
	}
	c.Lines = append(c.Lines, chartLine{strconv.Itoa(plotTop + plotHeight), ""})
	if n := len(times); n > 1 {
		length := times[n-1].Sub(times[0])
		c.Times = []chartTime{{0, duration(length.Round(time.Minute)) + " ago"}, {100, "now"}}
	}
	c.Rows = tableRows(times, all, format)
	return c
}

// tableRows are the values in a dozen steps.
func tableRows(times []time.Time, all []series, format func(float64) string) []chartRow {
	var rows []chartRow
	step := max(1, len(times)/12)
	for i := len(times) - 1; i >= 0; i -= step {
		row := chartRow{Time: times[i].UTC().Format("15:04:05")}
		for _, s := range all {
			row.Values = append(row.Values, last(s.values[:i+1][max(0, i-step+1):], format))
		}
		rows = append(rows, row)
	}
	return rows
}

// last writes the last value that was measured.
func last(values []float64, format func(float64) string) string {
	for i := len(values) - 1; i >= 0; i-- {
		if !math.IsNaN(values[i]) {
			return format(values[i])
		}
	}
	return "–"
}

// niceTop is a round number at or above the largest value.
func niceTop(most float64) float64 {
	if most <= 2 {
		return 2
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, n := range []float64{1, 2, 4, 6, 8, 10} {
		if n*unit >= most {
			return n * unit
		}
	}
	return 10 * unit
}

// bridge is how many places without a value a line goes on over.
const bridge = 8

// paths draws values into a box that is 100 wide. Where nothing was measured
// for long the line has a gap.
func paths(values []float64, top, height float64) (path, area string) {
	var p, a strings.Builder
	n := len(values)
	at := func(i int) (string, string) {
		x := 100 * float64(i) / float64(max(1, n-1))
		y := height - height*min(values[i]/top, 1)
		return strconv.FormatFloat(x, 'f', 1, 64), strconv.FormatFloat(y, 'f', 1, 64)
	}
	from, to := -1, -1 // the stretch that is drawn
	end := func() {
		if from < 0 {
			return
		}
		x, _ := at(to)
		fmt.Fprintf(&a, "L%s %gZ", x, height)
		if from == to { // one value alone is a dot
			p.WriteString("h.01")
		}
	}
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		x, y := at(i)
		if from < 0 || i-to > bridge {
			end()
			from = i
			fmt.Fprintf(&p, "M%s %s", x, y)
			fmt.Fprintf(&a, "M%s %gL%s %s", x, height, x, y)
		} else {
			fmt.Fprintf(&p, "L%s %s", x, y)
			fmt.Fprintf(&a, "L%s %s", x, y)
		}
		to = i
	}
	end()
	return p.String(), a.String()
}

// bars draws values as bars in a box that is 100 wide.
func bars(values []float64, top, height float64) string {
	var b strings.Builder
	width := 100 / float64(max(1, len(values)))
	for i, v := range values {
		if math.IsNaN(v) || v <= 0 {
			continue
		}
		tall := max(height*min(v/top, 1), height/50) // a little can be seen too
		fmt.Fprintf(&b, "M%.2f %gv%.1fh%.2fv%.1fz", (float64(i)+.15)*width, height, -tall, .7*width, tall)
	}
	return b.String()
}
