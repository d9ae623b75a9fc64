package plan

import (
	"fmt"
	"strings"

	"github.com/wildout/wildout/api/v1alpha1"
)

// step compiles one step. The `if` and `forEach` of a step are evaluated once,
// before there is an item.
func (c *compiler) step(at site, s *v1alpha1.Step, inherited Retry) *Step {
	path := at.path
	out := &Step{Name: s.Name, MaxParallel: 1, Timeout: DefaultStepTimeout}
	c.stepName(path+".name", s.Name)
	c.errs = append(c.errs, at.reader.faults...)
	for _, need := range at.reader.needs {
		out.Needs = append(out.Needs, need.index)
	}
	c.oneAction(path, s)
	out.If = c.condition(at.at(path+".if"), s.If, wantBool)
	out.ForEach = c.single(at.at(path+".forEach"), string(s.ForEach), wantList)
	if s.MaxParallel != 0 {
		c.within(path+".maxParallel", int64(s.MaxParallel), 1, 1000)
		out.MaxParallel = int(s.MaxParallel)
		if s.ForEach == "" {
			c.errorf(path+".maxParallel", "belongs to forEach, and this step has none")
		}
	}
	body := at
	if s.ForEach != "" {
		body = at.with(varItem)
	}
	c.action(body, s, out)
	out.Retry = c.retry(path+".retryPolicy", s.RetryPolicy, inherited)
	if s.Timeout != "" {
		out.Timeout = c.duration(path+".timeout", s.Timeout)
	}
	c.oneOf(path+".onError", string(s.OnError), string(v1alpha1.OnErrorFail), string(v1alpha1.OnErrorContinue))
	out.ContinueOnError = s.OnError == v1alpha1.OnErrorContinue
	return out
}

// oneAction checks that a step does one thing.
func (c *compiler) oneAction(path string, s *v1alpha1.Step) {
	var found []string
	for _, action := range []struct {
		name string
		set  bool
	}{
		{"handler", s.Handler != ""},
		{"sleep", s.Sleep != ""},
		{"sleepUntil", s.SleepUntil != ""},
		{"waitForEvent", s.WaitForEvent != nil},
		{"sendEvent", s.SendEvent != nil},
		{"invoke", s.Invoke != nil},
		{"assert", s.Assert != nil},
		{"set", s.Set != nil},
	} {
		if action.set {
			found = append(found, action.name)
		}
	}
	switch {
	case len(found) == 0:
		c.errorf(path, "does nothing: write one of handler, sleep, sleepUntil, waitForEvent, sendEvent, invoke, assert, set")
	case len(found) > 1:
		c.errorf(path, "has more than one action (%s): make a step of each", strings.Join(found, ", "))
	}
	if s.With != nil && s.Handler == "" {
		c.errorf(path+".with", "belongs to handler, and this step has none")
	}
}

func (c *compiler) action(at site, s *v1alpha1.Step, out *Step) {
	path := at.path
	if s.Handler != "" {
		c.handler(path+".handler", s.Handler)
		out.Handler = s.Handler
	}
	out.With = c.json(at.at(path+".with"), s.With, wantAny)
	c.literals(path+".with", s)
	out.Sleep = c.duration(path+".sleep", s.Sleep)
	out.SleepUntil = c.instant(at.at(path+".sleepUntil"), string(s.SleepUntil))
	out.Wait = c.wait(at.at(path+".waitForEvent"), s.WaitForEvent)
	out.Send = c.sends(at, s.SendEvent)
	out.Invoke = c.invoke(at.at(path+".invoke"), s.Invoke)
	out.Assert = c.assertions(at, s.Assert)
	out.Set = c.json(at.at(path+".set"), s.Set, wantAny)
}

func (c *compiler) wait(at site, w *v1alpha1.WaitForEvent) *Wait {
	if w == nil {
		return nil
	}
	c.eventType(at.path+".event", w.Event)
	out := &Wait{Event: string(w.Event), Timeout: c.requiredDuration(at.path+".timeout", w.Timeout)}
	if w.Match != "" && c.length(at.path+".match", w.Match, 256) {
		match, err := ParsePath(w.Match)
		if err != nil {
			c.errorf(at.path+".match", "%v", err)
		}
		out.Match = match
	}
	out.If = c.condition(at.at(at.path+".if").with(varAsync), w.If, wantBool)
	return out
}

func (c *compiler) sends(at site, sends []v1alpha1.SendEvent) []Send {
	if sends == nil {
		return nil
	}
	c.count(at.path+".sendEvent", len(sends), 1, maxSends)
	out := make([]Send, len(sends))
	for i, s := range sends {
		path := fmt.Sprintf("%s.sendEvent[%d]", at.path, i)
		c.eventType(path+".name", s.Name)
		out[i] = Send{
			Type: string(s.Name),
			Data: c.json(at.at(path+".data"), s.Data, wantObject),
			ID:   c.template(at.at(path+".id"), string(s.ID), maxTemplate),
		}
	}
	return out
}

func (c *compiler) invoke(at site, i *v1alpha1.Invoke) *Invoke {
	if i == nil {
		return nil
	}
	c.functionName(at.path+".function", i.Function)
	return &Invoke{
		Function: i.Function,
		Data:     c.json(at.at(at.path+".data"), i.Data, wantObject),
		Timeout:  c.duration(at.path+".timeout", i.Timeout),
	}
}

func (c *compiler) assertions(at site, list []v1alpha1.Assertion) []Assertion {
	if list == nil {
		return nil
	}
	c.count(at.path+".assert", len(list), 1, maxAssertions)
	out := make([]Assertion, len(list))
	for i, a := range list {
		path := fmt.Sprintf("%s.assert[%d]", at.path, i)
		if a.That == "" {
			c.errorf(path+".that", "is missing: write the condition that must hold")
		}
		out[i] = Assertion{
			That:    c.condition(at.at(path+".that"), a.That, wantBool),
			Message: c.template(at.at(path+".message"), a.Message, maxMessage),
		}
	}
	return out
}
