package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// prepareCommand is the first argument of what the chart runs before it is
// installed or upgraded.
const prepareCommand = "prepare"

// preparation is what rendering a chart cannot do.
type preparation struct {
	client    client.Client
	namespace string
	logger    *slog.Logger
}

// prepare makes the Secrets whose texts nobody has given, and takes away what an
// upgrade could not change.
func prepare(ctx context.Context, config *rest.Config, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("manager "+prepareCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	namespace := flags.String("namespace", "", "namespace of the release (required)")
	var redis, texts, sets []string
	add := func(to *[]string) func(string) error {
		return func(value string) error { *to = append(*to, value); return nil }
	}
	flags.Func("redis", "NAME,HOST:PORT: the Secret NAME has the URL of a Redis, with a password that is made once", add(&redis))
	flags.Func("secret", "NAME,KEY: the Secret NAME has a text under KEY that is made once", add(&texts))
	flags.Func("statefulset", "NAME: a StatefulSet that replaces its pods in order goes, without its pods, to be made anew by the upgrade", add(&sets))
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *namespace == "" {
		return fmt.Errorf("--namespace is %q, further arguments %q: --help lists the settings", *namespace, flags.Args())
	}
	c, err := newClient(config)
	if err != nil {
		return err
	}
	p := preparation{c, *namespace, slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	var errs []error
	for _, r := range redis {
		name, host, _ := strings.Cut(r, ",")
		errs = append(errs, p.redis(ctx, name, host))
	}
	for _, s := range texts {
		name, key, _ := strings.Cut(s, ",")
		errs = append(errs, p.text(ctx, name, key))
	}
	for _, s := range sets {
		errs = append(errs, p.replaceOrdered(ctx, s))
	}
	return errors.Join(errs...)
}

// redis makes the Secret of an embedded Redis, and what it has come to lack.
func (p preparation) redis(ctx context.Context, name, host string) error {
	return p.complete(ctx, name, func(secret *corev1.Secret) {
		password := secret.Data["password"]
		if len(password) == 0 {
			password = []byte(rand.Text())
		}
		setMissing(secret, "password", string(password))
		setMissing(secret, "redis-password.conf", fmt.Sprintf("requirepass %s\n", password))
		setMissing(secret, "url", fmt.Sprintf("redis://:%s@%s/0", password, host))
	})
}

// text makes a Secret with one text.
func (p preparation) text(ctx context.Context, name, key string) error {
	return p.complete(ctx, name, func(secret *corev1.Secret) { setMissing(secret, key, rand.Text()) })
}

// setMissing sets a key that has no value: one that is there is never changed.
func setMissing(secret *corev1.Secret, key, value string) {
	if len(secret.Data[key]) > 0 {
		return
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[key] = []byte(value)
}

// complete makes a Secret, or adds what is missing in it. A release of Helm that
// had it among its own leaves it where it is.
func (p preparation) complete(ctx context.Context, name string, add func(*corev1.Secret)) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: p.namespace,
		Labels: map[string]string{"app.kubernetes.io/part-of": "wildout"}}}
	err := p.client.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if apierrors.IsNotFound(err) {
		add(secret)
		err = p.client.Create(ctx, secret)
		if err == nil {
			p.logger.Info("made a Secret", "name", name)
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("make the Secret %s: %w", name, err)
	}
	before := secret.DeepCopy()
	add(secret)
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, "helm.sh/resource-policy", "keep")
	if err := p.client.Patch(ctx, secret, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("complete the Secret %s: %w", name, err)
	}
	return nil
}

// replaceOrdered deletes a StatefulSet that replaces its pods in order, and not
// its pods and volumes: the upgrade makes it anew, and it takes them over. One
// that waits for a pod whose image cannot be had would wait for ever, and how it
// replaces its pods is a field that nobody can change.
func (p preparation) replaceOrdered(ctx context.Context, name string) error {
	var set appsv1.StatefulSet
	err := p.client.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, &set)
	if err == nil && set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
		p.logger.Info("the StatefulSet is made anew", "name", name)
		err = p.client.Delete(ctx, &set, client.PropagationPolicy(metav1.DeletePropagationOrphan), client.Preconditions{UID: &set.UID})
	}
	if err = client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("replace the StatefulSet %s: %w", name, err)
	}
	return nil
}
