package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// vertex is a step in the graph of a function.
type vertex struct {
	name      string
	path      string // spec.steps[3]
	index     int    // in its list
	onFailure bool
	needs     []*vertex
	ancestors map[*vertex]bool
	faults    Errors
}

func (v *vertex) errorf(path, format string, args ...any) {
	v.faults = append(v.faults, &Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

// graph knows which step has ended when another one starts. The main steps
// and those of onFailure are two graphs; the second sees the first.
type graph struct {
	main, onFailure []*vertex
	byName          map[string]*vertex
}

// newGraph leaves duplicate and unknown names and cycles as faults with the
// step that has them.
func newGraph(spec *v1alpha1.WildoutFunctionSpec) *graph {
	g := &graph{byName: map[string]*vertex{}}
	g.main = g.vertices("spec.steps", spec.Steps, false)
	g.onFailure = g.vertices("spec.onFailure", spec.OnFailure, true)
	g.edges(g.main, spec.Steps)
	g.edges(g.onFailure, spec.OnFailure)
	for _, list := range [][]*vertex{g.main, g.onFailure} {
		cutCycles(list)
		for _, v := range list {
			v.ancestors = map[*vertex]bool{}
			v.collect(v.ancestors)
		}
	}
	return g
}

func (g *graph) vertices(path string, steps []v1alpha1.Step, onFailure bool) []*vertex {
	list := make([]*vertex, len(steps))
	for i, step := range steps {
		v := &vertex{name: step.Name, path: fmt.Sprintf("%s[%d]", path, i), index: i, onFailure: onFailure}
		list[i] = v
		if step.Name == "" {
			continue
		}
		if first, taken := g.byName[step.Name]; taken {
			v.errorf(v.path+".name", "the name %q is taken by %s; names are unique over steps and onFailure", step.Name, first.path)
			continue
		}
		g.byName[step.Name] = v
	}
	return list
}

func (g *graph) edges(list []*vertex, steps []v1alpha1.Step) {
	for i, v := range list {
		if steps[i].Needs == nil {
			if i > 0 {
				v.needs = []*vertex{list[i-1]}
			}
			continue
		}
		for j, name := range *steps[i].Needs {
			path := fmt.Sprintf("%s.needs[%d]", v.path, j)
			need, known := g.byName[name]
			switch {
			case !known:
				v.errorf(path, "there is no step %q%s", name, didYouMean(name, names(list)))
				v.faults[len(v.faults)-1].Reason = UnknownStep
			case need == v:
				v.errorf(path, "a step cannot need itself")
			case need.onFailure != v.onFailure && v.onFailure:
				v.errorf(path, "%q is no step of onFailure: no step of the run goes on when onFailure starts, so leave it out", name)
			case need.onFailure != v.onFailure:
				v.errorf(path, "%q is a step of onFailure: it runs only after this one has failed", name)
			case slices.Contains(v.needs, need):
				v.errorf(path, "%q is named twice", name)
			default:
				v.needs = append(v.needs, need)
			}
		}
	}
}

func names(list []*vertex) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.name
	}
	return out
}

func (v *vertex) collect(into map[*vertex]bool) {
	for _, need := range v.needs {
		if !into[need] {
			into[need] = true
			need.collect(into)
		}
	}
}

// cutCycles reports each circle of needs once, at its first step, and cuts it.
func cutCycles(list []*vertex) {
	const onTrail, done = 1, 2
	state := map[*vertex]int{}
	var trail []*vertex
	var visit func(v *vertex)
	visit = func(v *vertex) {
		state[v], trail = onTrail, append(trail, v)
		for i := 0; i < len(v.needs); i++ {
			need := v.needs[i]
			switch state[need] {
			case 0:
				visit(need)
			case onTrail:
				reportCycle(trail[slices.Index(trail, need):])
				v.needs = slices.Delete(v.needs, i, i+1)
				i--
			}
		}
		state[v], trail = done, trail[:len(trail)-1]
	}
	for _, v := range list {
		if state[v] == 0 {
			visit(v)
		}
	}
}

func reportCycle(circle []*vertex) {
	first := slices.MinFunc(circle, func(a, b *vertex) int { return a.index - b.index })
	at := slices.Index(circle, first)
	chain := append(names(circle[at:]), names(circle[:at])...)
	first.errorf(first.path+".needs", "the steps wait for each other: %s", strings.Join(append(chain, first.name), " needs "))
}

// mayRead says why reader cannot read the step of that name; empty when it
// can. A nil reader is spec.output.
func (g *graph) mayRead(reader *vertex, name string) string {
	step, known := g.byName[name]
	switch {
	case !known:
		return fmt.Sprintf("there is no step %q%s", name, didYouMean(name, names(g.main)))
	case reader == nil && step.onFailure:
		return fmt.Sprintf("%s is a step of onFailure: a run that failed has no output", name)
	case reader == nil, reader.onFailure && !step.onFailure:
		return ""
	case step == reader:
		return "a step cannot read itself: it has not ended yet"
	case !reader.onFailure && step.onFailure:
		return fmt.Sprintf("%s is a step of onFailure: it runs only after this one has failed", name)
	case reader.ancestors[step]:
		return ""
	case step.ancestors[reader]:
		return fmt.Sprintf("%s has not ended here: it starts after %s", name, reader.name)
	}
	needs := names(reader.needs)
	slices.Sort(needs)
	return fmt.Sprintf("%s may not have ended here: add it to the needs of %s, as in needs: [%s]",
		name, reader.name, strings.Join(append(needs, name), ", "))
}

// didYouMean proposes the known name that is closest, if one is close.
func didYouMean(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if len(name) > 64 || len(k) > 64 {
			continue
		}
		if len(name) > 3 && strings.Contains(strings.ToLower(k), strings.ToLower(name)) {
			best, distance = k, 1
		}
		if d := editDistance(name, k); k != "" && d < distance && d < len(name) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is the Levenshtein distance.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
