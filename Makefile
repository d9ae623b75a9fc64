# What people do with this repository. `make help` lists it; `make test` and
# `make lint` need nothing but Go and, for the first run, a network.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := bin
# Who calls make may have a BIN of their own in the environment, for the
# commands that E2E_LOAD and the like name.
unexport BIN
CONTROLLER_GEN := $(BIN)/controller-gen
GOLANGCI_LINT := $(CURDIR)/$(BIN)/golangci-lint
# What the tests of the charts run.
CHART_TOOLS := $(addprefix $(BIN)/,helm3 helm4 kustomize kubeconform)
# What the names of images begin with, and what they are for.
IMAGE_PREFIX ?= wildout
IMAGE_PLATFORMS ?= linux/$(shell go env GOARCH)
# Their tag; empty: what git describes.
IMAGE_VERSION ?=
# Modules of their own: their dependencies stay out of what we ship.
SIDE_MODULES := $(patsubst %/go.mod,%,$(wildcard hack/*/go.mod))
# Those of them that have code, not only versions of tools.
CODE_MODULES := $(filter $(SIDE_MODULES),$(sort $(patsubst %/,%,$(dir $(wildcard hack/*/*.go)))))
# Those whose tests need a cluster of the kubeconfig: `make test` vets them only.
CLUSTER_MODULES := hack/e2e

# The most bytes that a tracked file may have: a built program has more.
MAX_FILE := 1000000

##@ Every day

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(BIN)/wildout ## Start everything on this machine, without a cluster.
	./hack/run.sh

.PHONY: build
build: ## Build the programs into bin/.
	go build -o $(BIN)/ ./cmd/...

.PHONY: images
images: ## Pack manager, runner and wildout as images in bin/images/.
	cd hack/images && go run . -o $(CURDIR)/$(BIN)/images -prefix $(IMAGE_PREFIX) -platforms $(IMAGE_PLATFORMS) -version "$(IMAGE_VERSION)"

.PHONY: test
test: services envtest $(CHART_TOOLS) ## Vet and test, against real Redis, PostgreSQL and Kubernetes.
	go vet ./...
	KUBEBUILDER_ASSETS=$$(./hack/envtest.sh) && export KUBEBUILDER_ASSETS && go test -timeout 20m ./...
	@for module in $(CODE_MODULES); do echo "vet $$module"; (cd "$$module" && go vet ./...); done
	@for module in $(filter-out $(CLUSTER_MODULES),$(CODE_MODULES)); do echo "test $$module"; (cd "$$module" && go test -timeout 5m ./...); done

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters over all our code.
	@for module in . $(CODE_MODULES); do echo "lint $$module"; (cd "$$module" && $(GOLANGCI_LINT) run); done

##@ Before a commit

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate CRDs, deepcopy functions, roles, and the like in charts.
	$(call generate,.)

.PHONY: verify
verify: $(CONTROLLER_GEN) ## Check that generated files, go.mod and formatting are up to date, and no file is large.
	@want=$$(mktemp -d); trap 'rm -rf "$$want"' EXIT; \
	$(call generate,$$want); \
	for file in $$(cd "$$want" && find . -type f); do \
		diff -u "$$file" "$$want/$$file" || { echo "$$file is not what its source generates: run make generate" >&2; exit 1; }; \
	done
	@for module in . $(SIDE_MODULES); do \
		(cd "$$module" && go mod tidy -diff) || { echo "run go mod tidy in $$module" >&2; exit 1; }; \
	done
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	@large=$$(git ls-files -z | xargs -0 sh -c 'for file; do [ ! -f "$$file" ] || [ $$(wc -c <"$$file") -le $(MAX_FILE) ] || echo "$$file"; done' sh); \
	if [ -n "$$large" ]; then echo "larger than $(MAX_FILE) bytes, which every clone would carry for ever:" $$large >&2; exit 1; fi

# $(call generate,<folder>) writes what is generated below the folder: from
# markers in the code, and of the charts from config/ and their values.
define generate
$(CONTROLLER_GEN) paths=./api/... \
	object:headerFile=hack/boilerplate.go.txt output:object:dir=$(1)/api/v1alpha1 \
	crd output:crd:dir=$(1)/config/crd && \
$(CONTROLLER_GEN) paths=./controllers/... paths=./cmd/manager/... \
	rbac:roleName=wildout-manager output:rbac:dir=$(1)/config/rbac && \
go run ./hack/charts -o $(1)
endef

.PHONY: bench
bench: ## Measure against peers (hack/bench/README.md says how to read it).
	cd hack/bench && go run .

.PHONY: e2e
e2e: services $(BIN)/helm4 ## Install on the cluster of the kubeconfig, and see what is promised hold.
	cd hack/e2e && go test -timeout 2h -count 1 -v . -args --ginkgo.v $(E2E_ARGS)

.PHONY: fleet
fleet: services ## Measure 1,000 functions on the cluster of the kubeconfig, with fake nodes.
	cd hack/fleet && go run . $(FLEET_ARGS)

SEED ?= 0
SEEDS ?= 20
FAULTS ?= 14
.PHONY: chaos
chaos: services ## Let faults of every kind come over runners and Redis: SEEDS of them, from SEED on.
	go test -count 1 -timeout 3h -v ./internal/crashtest -run '^TestChaos$$' -seed $(SEED) -seeds $(SEEDS) -faults $(FAULTS)

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside bytes, FUZZTIME=10m each; keeps a corpus.
	./hack/fuzz.sh

.PHONY: load
load: $(BIN)/wildout ## Measure the gateway with wrk, beside a bare handler.
	./hack/services.sh wrk
	cd hack/bench && go run ./load --wildout $(CURDIR)/$(BIN)/wildout

##@ The machine

.PHONY: services
services: ## Install the programs that the tests start: Redis, PostgreSQL, Node.js, Chromium.
	./hack/services.sh

.PHONY: envtest
envtest: ## Get the API server and etcd that the tests start (10 minutes, once).
	@./hack/envtest.sh >/dev/null

.PHONY: clean
clean: ## Remove bin/.
	rm -rf $(BIN)

# Always rebuilt: the Go build cache knows better than make what is stale.
.PHONY: $(BIN)/wildout
$(BIN)/wildout:
	go build -o $@ ./cmd/wildout

# Tools, in the versions that hack/tools/go.mod pins.
$(CONTROLLER_GEN): hack/tools/go.sum
	$(call build-tool,sigs.k8s.io/controller-tools/cmd/controller-gen)

$(GOLANGCI_LINT): hack/tools/go.sum
	$(call build-tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(BIN)/helm3: hack/tools/go.sum
	$(call build-tool,helm.sh/helm/v3/cmd/helm)

$(BIN)/helm4: hack/tools/go.sum
	$(call build-tool,helm.sh/helm/v4/cmd/helm)

$(BIN)/kustomize: hack/tools/go.sum
	$(call build-tool,sigs.k8s.io/kustomize/kustomize/v5)

$(BIN)/kubeconform: hack/tools/go.sum
	$(call build-tool,github.com/yannh/kubeconform/cmd/kubeconform)

define build-tool
cd hack/tools && go build -o $(abspath $@) $(1)
@touch $@
endef
