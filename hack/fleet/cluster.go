package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/controllers"
)

// home is the namespace of the operator, as config/default has it.
const home = "wildout-system"

// cluster is the cluster of the kubeconfig, and what is ours in it.
type cluster struct {
	client.Client
	config  *rest.Config
	session string
	logger  *slog.Logger
}

func reach(session string, logger *slog.Logger) (*cluster, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the Kubernetes API server: %w", err)
	}
	config.QPS = -1 // what is measured is not us
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API server: %w", err)
	}
	return &cluster{Client: c, config: config, session: session, logger: logger}, nil
}

// ours are the kinds of objects of the cluster that we make, in the order in
// which they are removed.
var ours = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Namespace"},
	{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
	{Version: "v1", Kind: "Node"},
}

// vacant says whether there is an operator already: it would reconcile our
// functions too, or ours those of others.
func (c *cluster) vacant(ctx context.Context) error {
	crd := &metav1.PartialObjectMetadata{}
	crd.SetGroupVersionKind(ours[1])
	err := c.Get(ctx, client.ObjectKey{Name: "wildoutfunctions.wildout.dev"}, crd)
	if err == nil && crd.Labels[label] == "" {
		return errors.New("the cluster has the custom resource definitions of wildout, and they are not from here: measure on a cluster without it")
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("look for the custom resource definitions: %w", err)
	}
	return nil
}

// install makes what config/default has but for the operator's pods.
func (c *cluster) install(ctx context.Context, root string) error {
	files := []string{"default/namespace.yaml", "rbac/service_account.yaml", "rbac/role.yaml", "rbac/role_binding.yaml", "rbac/metrics_reader.yaml"}
	definitions, err := filepath.Glob(filepath.Join(root, "config", "crd", "wildout.dev_*.yaml"))
	if err != nil {
		return fmt.Errorf("look for the custom resource definitions: %w", err)
	}
	for _, file := range files {
		definitions = append(definitions, filepath.Join(root, "config", file))
	}
	for _, path := range definitions {
		if err := c.createFile(ctx, path); err != nil {
			return err
		}
	}
	for end := time.Now().Add(time.Minute); ; {
		err := c.List(ctx, list("WildoutFunctionList"))
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the custom resource definitions are not served: %w", err)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (c *cluster) createFile(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read what is to be installed: %w", err)
	}
	defer file.Close()
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if len(o.Object) == 0 {
			continue
		}
		if err := c.make(ctx, o); err != nil {
			return err
		}
	}
}

// make creates an object, marked as ours.
func (c *cluster) make(ctx context.Context, o client.Object) error {
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[label] = c.session
	o.SetLabels(labels)
	if err := c.Create(ctx, o); err != nil {
		return fmt.Errorf("create %s %s: %w", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)
	}
	return nil
}

// space makes a namespace for functions, with the Secret of its Redis.
func (c *cluster) space(ctx context.Context, name, redisURL string) error {
	err := c.make(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}})
	if err != nil {
		return err
	}
	return c.make(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "wildout-redis"},
		StringData: map[string]string{"url": redisURL}})
}

// metricsAccount makes an account that may read the operator's metrics, and
// returns a token of it.
func (c *cluster) metricsAccount(ctx context.Context) (string, error) {
	const name = "wildout-fleet-metrics"
	if err := c.make(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name}}); err != nil {
		return "", err
	}
	err := c.make(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "wildout-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: name}}})
	if err != nil {
		return "", err
	}
	return c.token(ctx, name)
}

func (c *cluster) token(ctx context.Context, account string) (string, error) {
	lifetime := int64((12 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}}
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: account}}
	if err := c.SubResource("token").Create(ctx, object, request); err != nil {
		return "", fmt.Errorf("get a token of the ServiceAccount %s: %w", account, err)
	}
	return request.Status.Token, nil
}

// remove removes what is ours, of this session and of earlier ones that did not
// get to it. Fake nodes have to be looked after meanwhile, or their pods stay.
func (c *cluster) remove(ctx context.Context) error {
	const patience = 10 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, kind := range []string{"WildoutFunctionList", "WildoutEventTypeList"} {
		if err := c.release(ctx, kind); err != nil {
			return err
		}
	}
	for _, kind := range ours {
		if err := c.removeAll(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// release takes the finalizers off: nobody is there to do it. There are no
// functions but ours, or vacant would have said so.
func (c *cluster) release(ctx context.Context, kind string) error {
	all := list(kind)
	err := c.List(ctx, all)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list what is left: %w", err)
	}
	for i := range all.Items {
		o := &all.Items[i]
		o.SetGroupVersionKind(all.GroupVersionKind().GroupVersion().WithKind(strings.TrimSuffix(kind, "List")))
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := client.IgnoreNotFound(c.Patch(ctx, o, patch)); err != nil {
			return fmt.Errorf("take the finalizer off %s: %w", o.GetName(), err)
		}
	}
	return nil
}

func (c *cluster) removeAll(ctx context.Context, kind schema.GroupVersionKind) error {
	told := time.Now()
	for {
		all := &metav1.PartialObjectMetadataList{}
		all.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := c.List(ctx, all, client.HasLabels{label}); err != nil {
			return fmt.Errorf("list what is left of the kind %s: %w", kind.Kind, err)
		}
		if len(all.Items) == 0 {
			return nil
		}
		for i := range all.Items {
			o := &all.Items[i]
			if !o.DeletionTimestamp.IsZero() {
				continue
			}
			gone := &unstructured.Unstructured{} // items of a list have no kind
			gone.SetGroupVersionKind(kind)
			gone.SetName(o.Name)
			err := c.Delete(ctx, gone, client.PropagationPolicy(metav1.DeletePropagationBackground))
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete %s %s: %w", kind.Kind, o.Name, err)
			}
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			c.logger.Info("waiting until it is deleted", "kind", kind.Kind, "left", len(all.Items))
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("%d objects of the kind %s are not gone (is there a kube-controller-manager?): %w", len(all.Items), kind.Kind, err)
		}
	}
}

// list is a list of one of our own kinds, of which only the metadata is wanted.
func list(kind string) *metav1.PartialObjectMetadataList {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: "wildout.dev", Version: "v1alpha1", Kind: kind})
	return l
}
