# What people do with this repository. `make help` lists it; `make test` and
# `make lint` need nothing but Go and, for the first run, a network.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := bin
CONTROLLER_GEN := $(BIN)/controller-gen
GOLANGCI_LINT := $(CURDIR)/$(BIN)/golangci-lint
# Modules of their own: their dependencies stay out of what we ship.
SIDE_MODULES := $(patsubst %/go.mod,%,$(wildcard hack/*/go.mod))

##@ Every day

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(BIN)/wildout ## Start everything on this machine, without a cluster.
	./hack/run.sh

.PHONY: build
build: ## Build the programs into bin/.
	go build -o $(BIN)/ ./cmd/...

.PHONY: test
test: services ## Vet and test, against real Redis and PostgreSQL.
	go vet ./...
	go test -timeout 20m ./...
	cd hack/bench && go test -timeout 5m ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters over all our code.
	$(GOLANGCI_LINT) run
	$(if $(wildcard hack/bench/go.mod),cd hack/bench && $(GOLANGCI_LINT) run)

##@ Before a commit

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate the CRDs and the deepcopy functions from api/.
	$(call generate,.)

.PHONY: verify
verify: $(CONTROLLER_GEN) ## Check that generated files, go.mod and formatting are up to date.
	@want=$$(mktemp -d); trap 'rm -rf "$$want"' EXIT; \
	$(call generate,$$want); \
	for file in $$(cd "$$want" && find . -type f); do \
		diff -u "$$file" "$$want/$$file" || { echo "$$file is not what api/ generates: run make generate" >&2; exit 1; }; \
	done
	@for module in . $(SIDE_MODULES); do \
		(cd "$$module" && go mod tidy -diff) || { echo "run go mod tidy in $$module" >&2; exit 1; }; \
	done
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi

# $(call generate,<folder>) writes what api/ generates below the folder.
define generate
$(CONTROLLER_GEN) paths=./api/... \
	object:headerFile=hack/boilerplate.go.txt output:object:dir=$(1)/api/v1alpha1 \
	crd output:crd:dir=$(1)/config/crd
endef

.PHONY: bench
bench: ## Measure against peers (hack/bench/README.md says how to read it).
	cd hack/bench && go run .

##@ The machine

.PHONY: services
services: ## Install the servers that the tests start: Redis and PostgreSQL.
	./hack/services.sh

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

define build-tool
cd hack/tools && go build -o $(CURDIR)/$(BIN)/ $(1)
@touch $@
endef
