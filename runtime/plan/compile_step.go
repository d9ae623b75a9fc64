package plan

import "github.com/wildout/wildout/api/v1alpha1"

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
		body = at.with(varItem, varIndex)
	}
	out.Action = c.action(body, s)
	out.Retry = c.retry(path+".retryPolicy", s.RetryPolicy, inherited)
	if s.Timeout != "" {
		out.Timeout = c.duration(path+".timeout", s.Timeout)
	}
	c.oneOf(path+".onError", string(s.OnError), string(v1alpha1.OnErrorFail), string(v1alpha1.OnErrorContinue))
	out.ContinueOnError = s.OnError == v1alpha1.OnErrorContinue
	return out
}
