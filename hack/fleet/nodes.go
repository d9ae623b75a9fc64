package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kwok plays the kubelets of fake nodes: https://kwok.sigs.k8s.io.
const kwok = "sigs.k8s.io/kwok"

const kwokVersion = "v0.8.0"

// stages say what KWOK does with nodes and pods: both are ready at once, and a
// pod that is deleted is gone.
var stages = []string{"node/fast/node-initialize.yaml", "pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml"}

// startKWOK builds KWOK, and lets it look after the nodes with our label and no
// others.
func startKWOK(ctx context.Context, folder string, config *rest.Config) (*process, error) {
	build := exec.CommandContext(ctx, "go", "install", kwok+"/cmd/kwok@"+kwokVersion)
	build.Dir, build.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build KWOK: %w\n%s", err, text)
	}
	find := exec.CommandContext(ctx, "go", "mod", "download", "-json", kwok+"@"+kwokVersion)
	find.Dir = folder
	text, err := find.Output()
	var module struct{ Dir string }
	if err = errors.Join(err, json.Unmarshal(text, &module)); err != nil {
		return nil, fmt.Errorf("find the source of KWOK: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	access, err := writeKubeconfig(folder, "kwok", config)
	if err != nil {
		return nil, err
	}
	args := []string{"--kubeconfig", access, "--manage-nodes-with-label-selector", label, "--manage-all-nodes=false",
		"--node-ip", "127.0.0.1", "--node-port", strconv.Itoa(port), "--server-address", "127.0.0.1:" + strconv.Itoa(port), "--node-lease-duration-seconds", "40"}
	for _, stage := range stages {
		args = append(args, "--config", filepath.Join(module.Dir, "kustomize", "stage", stage))
	}
	return start(folder, "kwok", filepath.Join(folder, "kwok"), args, []string{"HOME=" + folder}) // no settings of the user
}

// writeKubeconfig writes the access to an API server to a file.
func writeKubeconfig(folder, name string, config *rest.Config) (string, error) {
	if err := rest.LoadTLSFiles(config); err != nil {
		return "", fmt.Errorf("read the certificates of the kubeconfig: %w", err)
	}
	access := clientcmdapi.NewConfig()
	access.Clusters["it"] = &clientcmdapi.Cluster{Server: config.Host + config.APIPath, CertificateAuthorityData: config.CAData,
		InsecureSkipTLSVerify: config.Insecure, TLSServerName: config.ServerName}
	access.AuthInfos["us"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
		Token: config.BearerToken, TokenFile: config.BearerTokenFile, Exec: config.ExecProvider}
	access.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "us"}
	access.CurrentContext = "it"
	path := filepath.Join(folder, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*access, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return path, nil
}

// nodes makes fake nodes, and waits until they are ready.
func (c *cluster) nodes(ctx context.Context, n int, kwok *process) error {
	for i := range n {
		err := c.make(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("wildout-fleet-%d", i),
				Labels: map[string]string{"kubernetes.io/hostname": fmt.Sprintf("wildout-fleet-%d", i), "kubernetes.io/os": "linux"}},
			Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: label, Value: c.session, Effect: corev1.TaintEffectNoSchedule}}},
		})
		if err != nil {
			return err
		}
	}
	return kwok.until(ctx, time.Minute, func() error {
		var nodes corev1.NodeList
		if err := c.List(ctx, &nodes, client.MatchingLabels{label: c.session}); err != nil {
			return fmt.Errorf("list the nodes: %w", err)
		}
		ready := 0
		for i := range nodes.Items {
			for _, condition := range nodes.Items[i].Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if ready < n {
			return fmt.Errorf("%d of %d fake nodes are ready", ready, n)
		}
		return nil
	})
}
