package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wildout/wildout/controllers"
	"github.com/wildout/wildout/controllers/desired"
)

// options are the settings of the operator.
type options struct {
	controllers.Options
	namespaces     []string
	metricsAddr    string
	metricsCertDir string
	probeAddr      string
	electLeader    bool
	leaseNamespace string
	shutdown       time.Duration
	qps            float64
	level          slog.Level
	// shareProcess lets several operators be in one process, as tests do.
	shareProcess bool
}

// parse reads the command line. Help goes to stderr.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.RunnerImage, "runner-image", "", "image of the standard runner (required)")
	pullPolicy := flags.String("runner-pull-policy", "", "when the image of the standard runner is pulled: Always, IfNotPresent or Never; empty: as Kubernetes does")
	pullSecrets := flags.String("runner-pull-secrets", "", "Secrets for pulling the images of runners, in the namespaces of the functions, separated by commas")
	flags.Int64Var(&o.Runners.User, "runner-user", 65532, "user and group that runners run as; 0: the cluster chooses, as OpenShift does")
	flags.BoolVar(&o.Runners.LinkLocal, "runner-link-local", false, "runners may connect to link-local addresses, where clouds give credentials to whoever asks")
	metadata := flags.String("runner-metadata", strings.Join(desired.DefaultMetadata, ","), "annotations and labels that functions may give their pods, beside names without a domain:"+
		" names, or domains with a / at their end, separated by commas; *: all")
	drivers := flags.String("runner-csi-drivers", "", "CSI drivers whose inline volumes functions may give their pods, separated by commas")
	flags.IntVar(&o.MaxRollouts, "max-rollouts", 20, "functions that get new runners at once where an update of the operator or a Secret is why")
	flags.StringVar(&o.RedisSecret, "redis-secret", "wildout-redis", "name of the Secret with the URL of Redis, in the namespace of a function, where the function names none")
	addresses := flags.String("redis-addresses", "", "addresses of Redis that the operator may connect to, as 10.1.0.0/16, separated by commas; empty: all")
	namespaces := flags.String("namespaces", "", "namespaces to look after, separated by commas; empty: all")
	flags.StringVar(&o.metricsAddr, "metrics-bind-address", ":8443", "address of the metrics, with TLS, authentication and authorization; 0: none")
	flags.StringVar(&o.metricsCertDir, "metrics-cert-dir", "", "folder with tls.crt and tls.key of the metrics; empty: self-signed")
	flags.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flags.BoolVar(&o.electLeader, "leader-elect", true, "only one of several operators acts")
	flags.StringVar(&o.leaseNamespace, "leader-election-namespace", "", "namespace of the Lease; empty: the operator's own")
	flags.DurationVar(&o.shutdown, "graceful-shutdown-timeout", 20*time.Second, "how long what is under way may go on at the end")
	flags.Float64Var(&o.qps, "kube-api-qps", 200, "most requests per second to the API server, over a time")
	flags.IntVar(&o.Workers, "workers", 8, "functions that are reconciled at once")
	flags.DurationVar(&o.PollInterval, "poll-interval", 5*time.Second, "time between two looks at a Redis")
	flags.DurationVar(&o.WakeInterval, "wake-interval", 250*time.Millisecond, "time between two looks whether something has come for functions without runners")
	flags.DurationVar(&o.SecretInterval, "secret-interval", 10*time.Second, "time between two looks at the Secret of a Redis")
	flags.DurationVar(&o.StatusInterval, "status-interval", 15*time.Second, "how often at most the numbers of a status are written")
	flags.DurationVar(&o.DeletionTimeout, "deletion-timeout", time.Minute, "how long a function that is deleted waits for its pods and for Redis")
	level := flags.String("log-level", "info", "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: --help lists the settings", flags.Arg(0))
	}
	o.namespaces = splitNames(*namespaces)
	o.Runners.PullPolicy = corev1.PullPolicy(*pullPolicy)
	o.Runners.PullSecrets = splitNames(*pullSecrets)
	o.Runners.Metadata = append([]string{}, splitNames(*metadata)...)
	o.Runners.CSIDrivers = splitNames(*drivers)
	var err error
	if o.RedisAddresses, err = parseAddresses(*addresses); err != nil {
		return nil, err
	}
	if err := o.level.UnmarshalText([]byte(*level)); err != nil {
		return nil, fmt.Errorf("--log-level is %q, want debug, info, warn or error", *level)
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}

// parseAddresses reads addresses, and ranges of them, separated by commas.
func parseAddresses(text string) (all []netip.Prefix, err error) {
	for _, word := range splitNames(text) {
		prefix, err := netip.ParsePrefix(word)
		if at, single := netip.ParseAddr(word); single == nil {
			prefix, err = at.Prefix(at.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("--redis-addresses: %q is no address and no range of them, such as 10.1.0.0/16", word)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// Validate reports every setting that is wrong.
func (o *options) Validate() error {
	errs := []error{o.Options.Validate()}
	for _, name := range o.namespaces {
		if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
			errs = append(errs, fmt.Errorf("--namespaces: %q is no name of a namespace: %s", name, faults[0]))
		}
	}
	if o.shutdown <= 0 {
		errs = append(errs, fmt.Errorf("--graceful-shutdown-timeout is %s, and must be more than 0", o.shutdown))
	}
	if o.qps <= 0 {
		errs = append(errs, fmt.Errorf("--kube-api-qps is %g, and must be more than 0", o.qps))
	}
	if o.metricsCertDir != "" && o.metricsAddr == "0" {
		errs = append(errs, errors.New("--metrics-cert-dir is set, and --metrics-bind-address says that there are no metrics"))
	}
	return errors.Join(errs...)
}
