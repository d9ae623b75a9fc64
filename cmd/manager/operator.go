package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wildout/wildout/controllers"
)

// leaseName is the Lease that the operators of one installation share.
const leaseName = "wildout-operator"

// What the operator itself may do, beside its controllers.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update;patch,namespace=wildout-system
// The Event about a new leader is of the old kind (kubernetes/kubernetes#82846).
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=wildout-system
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// newOperator sets up everything; Start begins.
func newOperator(ctx context.Context, config *rest.Config, o *options, logger *slog.Logger) (manager.Manager, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = float32(o.qps), int(2*o.qps)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  controllers.CacheOptions(o.namespaces),
		Metrics: metricsserver.Options{
			BindAddress: o.metricsAddr, SecureServing: true, CertDir: o.metricsCertDir,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		HealthProbeBindAddress:  o.probeAddr,
		LeaderElection:          o.electLeader,
		LeaderElectionID:        leaseName,
		LeaderElectionNamespace: o.leaseNamespace,
		// The process ends right after: the next one need not wait for the lease
		// to run out.
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &o.shutdown,
		Controller: ctrlconfig.Controller{
			// The one that waits has its caches filled already.
			EnableWarmup:       ptr.To(true),
			SkipNameValidation: &o.shareProcess,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the operator: %w", err)
	}
	if !o.shareProcess {
		o.Metrics = metrics.Registry
	}
	if err := controllers.Setup(ctx, mgr, o.Options, logger); err != nil {
		return nil, err
	}
	return mgr, errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("caches", cachesSynced(mgr)))
}

// cachesSynced: the operator knows the cluster, and could take over at once.
func cachesSynced(mgr manager.Manager) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet: are the custom resource definitions there, and may the operator list them?")
		}
		return nil
	}
}
