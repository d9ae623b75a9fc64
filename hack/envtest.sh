#!/usr/bin/env bash
# Prints the folder that has kube-apiserver, etcd and kubectl, for tests that
# start a real API server:
#
#	export KUBEBUILDER_ASSETS=$(hack/envtest.sh)
#
# It takes what is there ($KUBEBUILDER_ASSETS, or what it made before), else
# downloads the programs with setup-envtest, else builds them from source, in
# the versions that hack/envtest/go.mod has. With --installed it takes only
# what is there. Several may run at once: one works, the others wait for it.
set -euo pipefail
# Absolute, as the tests of each package run in a folder of their own.
assets=${KUBEBUILDER_ASSETS:+$(cd "$KUBEBUILDER_ASSETS" 2>/dev/null && pwd)} || assets=
cd "$(dirname "${BASH_SOURCE[0]}")"

programs=(kube-apiserver etcd kubectl)
download_seconds=120

say() { echo "envtest: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

# complete <folder>: it has all programs.
complete() {
	[[ -n $1 ]] || return 1
	for program in "${programs[@]}"; do
		[[ -x $1/$program ]] || return 1
	done
}

# version <module>: what hack/envtest/go.mod requires.
version() {
	awk -v module="$1" '$1 == module && $2 ~ /^v/ {print $2; exit}' envtest/go.mod
}

# download: links the programs of a release into $folder, or does nothing.
download() {
	say "looking for Kubernetes $minor with setup-envtest"
	(cd tools && go build -o "$workspace/" sigs.k8s.io/controller-runtime/tools/setup-envtest) || return 0
	local limit=() found
	command -v timeout >/dev/null && limit=(timeout "$download_seconds")
	found=$("${limit[@]}" "$workspace/setup-envtest" use "$minor.x" --print path </dev/null) || return 0
	! complete "$found" || ln -sf "${programs[@]/#/$found/}" "$folder/"
}

# build: builds the programs into $folder. A program that is there is whole.
build() {
	say "building ${programs[*]} from source, once: 10 minutes on two cores, 3 GB of build cache"
	local sources=(k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3)
	local about=k8s.io/component-base/version total
	local stamp="-s -w -X $about.gitVersion=$kubernetes -X $about.gitMajor=1 -X $about.gitMinor=${minor#1.}"
	(
		cd envtest
		total=$(go list -deps "${sources[@]}" | wc -l)
		nice go build -v -ldflags "$stamp" -o "$workspace/" "${sources[@]}" 2>&1 | awk -v total="$total" '
			!/^[^ :#]+$/ {print; next} # what is not the path of a package
			++n % 200 == 0 {print "envtest: " n " of at most " total " packages compiled"; fflush()}'
	) >&2 || fail "the build failed (see above). It needs the Go module proxy, or install the programs yourself and set KUBEBUILDER_ASSETS to their folder."
	mv "$workspace/server" "$workspace/etcd"
	for program in "${programs[@]}"; do
		mv -f "$workspace/$program" "$folder/"
	done
}

kubernetes=$(version k8s.io/kubernetes)
etcd=$(version go.etcd.io/etcd/server/v3)
[[ -n $kubernetes && -n $etcd ]] || fail "hack/envtest/go.mod names no version of Kubernetes or etcd: write it anew with hack/envtest/update.sh"
minor=${kubernetes#v} minor=${minor%.*} # 1.37
folder=${XDG_CACHE_HOME:-${HOME:?"is not set, and says where to keep the programs"}/.cache}/wildout/envtest/kubernetes-$kubernetes-etcd-$etcd-$(uname -sm | tr ' ' -)

if complete "$assets"; then
	echo "$assets"
	exit
fi
if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
	say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of ${programs[*]}; looking elsewhere"
fi
if complete "$folder"; then
	echo "$folder"
	exit
fi
if [[ ${1:-} == --installed ]]; then
	fail "no ${programs[*]} in $folder: run 'make envtest' (10 minutes, once), or set KUBEBUILDER_ASSETS to a folder that has them"
fi

mkdir -p "$folder"
if command -v flock >/dev/null; then
	exec 9>"$folder/lock"
	flock --nonblock 9 || { say "waiting for another $0"; flock 9; }
fi
workspace=$folder/unfinished
trap 'rm -rf "$workspace"' EXIT
complete "$folder" || download
complete "$folder" || build
complete "$folder" || fail "$folder still lacks one of ${programs[*]}: remove it and try again"
echo "$folder"
