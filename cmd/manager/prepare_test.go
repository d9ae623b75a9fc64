package main

import (
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wildout/wildout/controllers"
	"github.com/wildout/wildout/internal/servicetest"
)

// What the chart runs first makes what is missing, once, and keeps what there is.
func TestPrepare(t *testing.T) {
	k := servicetest.StartKubernetes(t)
	config := &rest.Config{Host: k.URL, BearerToken: k.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: k.CAFile}}
	scheme, err := controllers.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		args := []string{"--namespace=default", "--redis=made-redis,redis.default.svc:6379", "--redis=old-redis,redis.default.svc:6379", "--secret=key,key", "--statefulset=ordered", "--statefulset=parallel", "--statefulset=none"}
		if err := prepare(t.Context(), config, args, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) map[string]string {
		t.Helper()
		var secret corev1.Secret
		if err := admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &secret); err != nil {
			t.Fatal(err)
		}
		all := map[string]string{"policy": secret.Annotations["helm.sh/resource-policy"]}
		for key, value := range secret.Data {
			all[key] = string(value)
		}
		return all
	}
	set := func(name string, policy appsv1.PodManagementPolicyType) *appsv1.StatefulSet {
		labels := map[string]string{"a": name}
		return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: appsv1.StatefulSetSpec{
			PodManagementPolicy: policy, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}}}
	}
	for _, object := range []client.Object{
		// As a release of an earlier chart has made it.
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "old-redis", Namespace: "default"}, StringData: map[string]string{"url": "redis://:old@elsewhere:6379/0", "password": "old", "redis.conf": "requirepass old"}},
		set("ordered", appsv1.OrderedReadyPodManagement), set("parallel", appsv1.ParallelPodManagement),
	} {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	run()
	made, key, old := read("made-redis"), read("key"), read("old-redis")
	if len(made["password"]) < 20 || made["url"] != "redis://:"+made["password"]+"@redis.default.svc:6379/0" || strings.TrimSpace(made["redis-password.conf"]) != "requirepass "+made["password"] {
		t.Errorf("the Secret of Redis is %v", made)
	}
	if len(key["key"]) < 20 {
		t.Errorf("the key is %q", key["key"])
	}
	if old["url"] != "redis://:old@elsewhere:6379/0" || old["password"] != "old" || strings.TrimSpace(old["redis-password.conf"]) != "requirepass old" || old["policy"] != "keep" {
		t.Errorf("the earlier Secret became %v", old)
	}
	for name, want := range map[string]bool{"ordered": true, "parallel": false} {
		var left appsv1.StatefulSet
		err := admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &left)
		gone := apierrors.IsNotFound(err) || err == nil && !left.DeletionTimestamp.IsZero() // nobody collects garbage here
		if gone != want {
			t.Errorf("the StatefulSet %s has gone: %t, want %t (%v)", name, gone, want, err)
		}
	}
	run()
	if again := read("made-redis"); again["password"] != made["password"] || again["url"] != made["url"] {
		t.Errorf("the password became another one: %v", again)
	}
	if again := read("key"); again["key"] != key["key"] {
		t.Errorf("the key became another one: %v", again)
	}
}
