#!/usr/bin/env bash
# Writes this module's go.mod for a version of Kubernetes and of etcd:
#
#	hack/envtest/update.sh v1.37.2 v3.7.0
#
# k8s.io/kubernetes requires its staging modules as v0.0.0 and replaces them
# by folders of its own, which nobody else has: here each of them is replaced
# by its published version, v0.<minor>.<patch>.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

kubernetes=${1:?"usage: $0 <version of Kubernetes, such as v1.37.2> <version of etcd, such as v3.7.0>"}
etcd=${2:?"usage: $0 <version of Kubernetes> <version of etcd, such as v3.7.0>"}
staging=v0.${kubernetes#v1.}

rm -f go.mod go.sum
go mod init github.com/wildout/wildout/hack/envtest
upstream=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | awk -F'"' '$2 == "GoMod" {print $4}')
# The same Go version and the same behaviour as the released programs.
awk '$1 == "go" || $1 == "toolchain" || $1 == "godebug"' "$upstream" |
	while read -r directive value; do go mod edit "-$directive=$value"; done
awk '$2 == "v0.0.0" && NF == 2 {print $1}' "$upstream" | sort -u |
	while read -r module; do go mod edit "-replace=$module=$module@$staging"; done

go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@$kubernetes" \
	"k8s.io/kubernetes/cmd/kubectl@$kubernetes" "go.etcd.io/etcd/server/v3@$etcd"
go mod tidy
