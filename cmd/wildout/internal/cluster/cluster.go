// Package cluster reaches a Kubernetes cluster as kubectl does: with the cluster
// and the user that a kubeconfig names. It reads objects, and makes requests to
// the console and the gateway of an installation through the API server, so that
// nothing else must be reachable. It must not know what people want to see.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways to log in that a kubeconfig may name
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say which cluster, which user, and which namespace, as kubectl's flags
// of the same names do.
type Options struct {
	Kubeconfig, Context, Namespace string
}

// AddFlags adds the flags.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.Namespace, "namespace", "n", "", "namespace in the cluster; left out: that of the context")
	flags.StringVar(&o.Context, "context", "", "context of the kubeconfig; left out: the current one")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig file; left out: $KUBECONFIG, or the one in your home folder")
}

// Given reports whether any of them is set.
func (o *Options) Given() bool { return *o != Options{} }

// Cluster is a cluster, seen by one user.
type Cluster struct {
	// Namespace is the one that is meant.
	Namespace string
	config    *rest.Config
	objects   dynamic.Interface
}

// Connect reads the kubeconfig. It makes no request.
func Connect(o Options) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	overrides.Context.Namespace = o.Namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, &Error{Unreachable, fmt.Errorf("no cluster: %w; `kubectl config get-contexts` shows what there is, --url does without a cluster", err)}
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, &Error{Unreachable, fmt.Errorf("read the kubeconfig: %w", err)}
	}
	return New(config, namespace)
}

// New returns the cluster of a configuration.
func New(config *rest.Config, namespace string) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = rest.NoWarnings{} // they are for who writes manifests
	config.QPS, config.Burst = 50, 100
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, &Error{Unreachable, fmt.Errorf("use the kubeconfig: %w", err)}
	}
	return &Cluster{namespace, config, objects}, nil
}

// Kind is why a cluster does not do what it is asked, as far as somebody has to
// do something else about it.
type Kind int

// The kinds of errors.
const (
	Unreachable Kind = iota + 1 // nobody answers
	Forbidden                   // this user may not
	Missing                     // it is not there
	Other
)

// Error is an error of this package, in words for people.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, Other for any else.
func KindOf(err error) Kind {
	var known *Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return Other
}

// Get reads an object of the namespace.
func Get[T any](ctx context.Context, c *Cluster, resource schema.GroupVersionResource, name string) (*T, error) {
	found, err := c.objects.Resource(resource).Namespace(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, c.explain(err, resource, name)
	}
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, into); err != nil {
		return nil, &Error{Other, fmt.Errorf("read %s %s: %w", resource.Resource, name, err)}
	}
	return into, nil
}

// List reads the objects of the namespace that the selectors of the options fit.
func List[T any](ctx context.Context, c *Cluster, resource schema.GroupVersionResource, o metav1.ListOptions) ([]T, error) {
	found, err := c.objects.Resource(resource).Namespace(c.Namespace).List(ctx, o)
	if err != nil {
		return nil, c.explain(err, resource, "")
	}
	all := make([]T, len(found.Items))
	for i := range found.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Items[i].Object, &all[i]); err != nil {
			return nil, &Error{Other, fmt.Errorf("read %s %s: %w", resource.Resource, found.Items[i].GetName(), err)}
		}
	}
	return all, nil
}

// explain says what to do about an error of the API server.
func (c *Cluster) explain(err error, resource schema.GroupVersionResource, name string) error {
	what := strings.TrimSpace(resource.Resource + " " + name)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case apierrors.IsForbidden(err):
		return &Error{Forbidden, fmt.Errorf("you may not read %s in the namespace %s: %w", what, c.Namespace, err)}
	case apierrors.IsUnauthorized(err):
		return &Error{Forbidden, fmt.Errorf("the API server %s does not know you: log in again (%w)", c.config.Host, err)}
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "could not find the requested resource"):
		return &Error{Missing, fmt.Errorf("the cluster %s knows no %s: is wildout installed there? helm install wildout charts/wildout", c.config.Host, resource.Resource)}
	case apierrors.IsNotFound(err):
		return &Error{Missing, fmt.Errorf("there is no %s in the namespace %s; another one: -n NAMESPACE", what, c.Namespace)}
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		return &Error{Unreachable, fmt.Errorf("the API server %s does not answer: %w; is it the right context? `kubectl config get-contexts`", c.config.Host, err)}
	}
	return &Error{Other, fmt.Errorf("read %s in the namespace %s: %w", what, c.Namespace, err)}
}
