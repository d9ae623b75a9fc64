package controllers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/api/v1alpha1"
)

// The metrics of the operator (docs/telemetry.md). Only what needs somebody, or
// explains why nothing happens, has a series of its own for each object.
var (
	leaderDesc    = prometheus.NewDesc("wildout_operator_leader", "1 for the operator that acts", nil, nil)
	functionsDesc = prometheus.NewDesc("wildout_operator_functions", "functions by the condition Ready", []string{"ready"}, nil)
	stalledDesc   = prometheus.NewDesc("wildout_operator_stalled", "1 while a person has to do something", []string{"namespace", "kind", "name", "reason"}, nil)
	suspendedDesc = prometheus.NewDesc("wildout_operator_suspended", "1 while a function is suspended", []string{"namespace", "function"}, nil)
	rolloutsDesc  = prometheus.NewDesc("wildout_operator_rollouts", "functions whose runners are replaced for the operator's sake", []string{"state"}, nil)
)

// collector tells what the operator knows, when it is asked.
type collector struct {
	client   client.Reader // the cache
	rollouts *rollouts
	elected  <-chan struct{}
}

// collectWithin is how long an answer may take.
const collectWithin = 5 * time.Second

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, functionsDesc, stalledDesc, suspendedDesc, rolloutsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	leads := 0.0
	select {
	case <-c.elected:
		leads = 1
	default:
	}
	gauge(leaderDesc, leads)
	under, waiting := c.rollouts.numbers()
	gauge(rolloutsDesc, float64(under), "under way")
	gauge(rolloutsDesc, float64(waiting), "waiting")
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	c.collectFunctions(ctx, gauge)
	c.collectEventTypes(ctx, gauge)
}

type gauge func(d *prometheus.Desc, value float64, labels ...string)

// Nothing of what a list returns is changed: it need not be a copy.
func (c *collector) collectFunctions(ctx context.Context, gauge gauge) {
	var all v1alpha1.WildoutFunctionList
	if err := c.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not filled yet
	}
	ready := map[string]float64{string(metav1.ConditionTrue): 0, string(metav1.ConditionFalse): 0, string(metav1.ConditionUnknown): 0}
	for i := range all.Items {
		f := &all.Items[i]
		status := string(metav1.ConditionUnknown)
		if is := meta.FindStatusCondition(f.Status.Conditions, v1alpha1.ConditionReady); is != nil {
			status = string(is.Status)
		}
		ready[status]++
		stalled(f, functionKind, f.Status.Conditions, gauge)
		if f.Spec.Suspend {
			gauge(suspendedDesc, 1, f.Namespace, f.Name)
		}
	}
	for status, n := range ready {
		gauge(functionsDesc, n, status)
	}
}

func (c *collector) collectEventTypes(ctx context.Context, gauge gauge) {
	var all v1alpha1.WildoutEventTypeList
	if err := c.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	for i := range all.Items {
		stalled(&all.Items[i], eventTypeKind, all.Items[i].Status.Conditions, gauge)
	}
}

func stalled(object client.Object, kind string, conditions []metav1.Condition, gauge gauge) {
	if is := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled); is != nil && is.Status == metav1.ConditionTrue {
		gauge(stalledDesc, 1, object.GetNamespace(), kind, object.GetName(), is.Reason)
	}
}
