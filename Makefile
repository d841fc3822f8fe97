# inviteq. `make` alone lists what there is. Every target does its own set-up,
# so each of them works on a fresh machine that has Go.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# A version is the nearest tag, the commit, and -dirty; "dev" outside of git.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Pinned here and not in go.mod: a linter's dependencies are not the program's.
GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/bin/golangci-lint-$(GOLANGCI_VERSION)

# The simulation: how many worlds (100), hours of faults in each (0.5), and the
# one world to replay aloud. Empty means the test's own default.
SEEDS ?=
HOURS ?=
SEED ?=

# The parts of the benchmark to run; empty means all of them.
PARTS ?=

# Packages that are tested at a time: one more than there are processors, because many
# tests wait for real processes.
PACKAGES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# Each fuzz target runs this long.
FUZZTIME ?= 10s

##@ Try it

# Built with the flags of build, so that neither compiles again what the other has.
.PHONY: demo
demo: ## Everything in one process: Redis, a simulated Clerk, worker, an import (2 min)
	@.ci/need go
	@echo 'Compiling inviteq: two or three minutes the first time, a moment from then on.'
	@env -u INVITEQ_SIM_SEEDS CGO_ENABLED=0 $(GO) run -trimpath ./cmd/inviteq demo

##@ Build

.PHONY: build
build: ## Build bin/inviteq, one static binary
	@.ci/need go
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/inviteq ./cmd/inviteq

.PHONY: release
release: ## Binaries for Linux and macOS, the image, SBOMs, NOTICE and checksums, in dist/
	@.ci/need go
	@.ci/release '$(VERSION)'

.PHONY: install
install: ## Install inviteq into $GOBIN
	@.ci/need go
	CGO_ENABLED=0 $(GO) install -trimpath -ldflags '$(LDFLAGS)' ./cmd/inviteq

##@ Test

.PHONY: test
test: ## All tests, against a real redis-server and PostgreSQL (found or installed)
	@.ci/need go redis-server postgres
	$(GO) test -p $(PACKAGES) -timeout 20m ./...

.PHONY: test-race
test-race: ## All tests under the race detector, with fewer simulated seeds
	@.ci/need go redis-server postgres cc
	INVITEQ_SIM_SEEDS=$${INVITEQ_SIM_SEEDS:-10} CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@.ci/need go redis-server
	@FUZZTIME='$(FUZZTIME)' .ci/fuzz

.PHONY: sim
sim: ## Simulate days of faults in virtual time: SEEDS=2000 HOURS=1, or replay SEED=42
	@.ci/need go redis-server
	INVITEQ_SIM_SEEDS='$(SEEDS)' INVITEQ_SIM_HOURS='$(HOURS)' INVITEQ_SIM_SEED='$(SEED)' \
		$(GO) test ./worker -run '^TestSimulation$$' -count=1 -v -timeout 60m

.PHONY: topology
topology: ## Sentinels, Clusters, TLS, a name that moves, a bad network: twice, lost, next delivery
	@.ci/need go redis-server
	INVITEQ_TOPOLOGY=1 $(GO) test ./cmd/inviteq -run '^TestTopologies$$' -count=1 -v -timeout 40m

.PHONY: soak
soak: ## Kill real workers and a real Redis for minutes; compare with asynq's groups
	@.ci/need go redis-server
	INVITEQ_SOAK=1 $(GO) test ./cmd/inviteq -run '^TestSoak' -count=1 -v -timeout 30m

.PHONY: outbox
outbox: ## Kill service, relay, Redis and PostgreSQL for a minute; the outbox' rate
	@.ci/need go redis-server postgres
	INVITEQ_SOAK=1 $(GO) test ./enqueue/outbox -count=1 -v -timeout 10m

.PHONY: clients
clients: ## Generate Go and TypeScript clients from openapi.yaml, and run them (needs registries; 1 min)
	@.ci/need go redis-server
	INVITEQ_CLIENTS=1 $(GO) test ./enqueue/api -run '^TestGeneratedClients$$' -count=1 -v -timeout 10m

.PHONY: mixed
mixed: ## A rolling deploy: workers of an earlier version beside this one (needs the history)
	@.ci/need go redis-server
	INVITEQ_MIXED=1 $(GO) test ./cmd/inviteq -run '^TestSoakMixedVersions$$' -count=1 -v -timeout 20m

.PHONY: pentest
pentest: ## Play strangers and neighbours against the real program; print what went on working (2 min)
	@.ci/need go redis-server
	INVITEQ_PENTEST=1 $(GO) test ./cmd/inviteq -run '^TestPentest$$' -count=1 -v -timeout 10m

.PHONY: pages
pages: ## Look at every page with 0, 3 and 50,000 invites, wide and narrow, light and dark; measure them with a million (5 min; needs chromium and npm)
	@.ci/need go redis-server chromium
	INVITEQ_TEST_PAGES=all INVITEQ_TEST_JS=1 $(GO) test ./worker/admin -run '^TestEveryPage$$' -count=1 -timeout 10m
	INVITEQ_TEST_MILLION=1000000 $(GO) test ./worker/admin -run '^TestPagesWithAMillion$$' -count=1 -v -timeout 20m

.PHONY: mutants
mutants: ## Plant deliberate bugs, and see which test catches each
	@.ci/need go redis-server
	$(GO) run ./cmd/mutants

.PHONY: model
model: ## Check the protocol with spin: its worlds, and bugs that they must catch; MATRIX=1: all bugs in all worlds (10 min)
	@.ci/need go spin cc
	INVITEQ_MODEL=$(if $(MATRIX),matrix,1) $(GO) test ./worker/model -count=1 -v -timeout 30m

.PHONY: bench
bench: ## Every figure that the project promises, in one table (PARTS="enqueue idle")
	@.ci/need go redis-server
	$(GO) run ./cmd/bench/all $(PARTS)

##@ Check

.PHONY: lint
lint: $(GOLANGCI) ## Linters, formatting, and the modernisations of go fix
	@.ci/need go
	$(GOLANGCI) run ./...
	cd deployments/check && $(CURDIR)/$(GOLANGCI) run ./...
	@echo 'go fix -diff ./...'
	@diff=$$($(GO) fix -diff ./... 2>&1) || { echo "$$diff"; echo 'lint: run `go fix ./...`'; exit 1; }

# Built from source (about two minutes, once per version), because a binary that
# was built for an older Go cannot read newer sources.
$(GOLANGCI):
	@.ci/need go
	@echo 'lint: building golangci-lint $(GOLANGCI_VERSION), once'
	@mkdir -p .cache/bin
	GOBIN='$(CURDIR)/.cache/bin' CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv .cache/bin/golangci-lint $@

.PHONY: deployments
deployments: ## Validate Dockerfile, docker-compose.yml, redis.conf and Kubernetes manifests
	@.ci/need go redis-server
	cd deployments/check && $(GO) test -count=1 -timeout 20m ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is shipped; the database is a pinned module
	@.ci/need go
	@.ci/vuln
.PHONY: compose-test
compose-test: ## docker-compose.yml for real, in containers of its own (skipped without a Docker engine)
	@.ci/need go
	@if docker info >/dev/null 2>&1; then \
		cd deployments/check && INVITEQ_COMPOSE=1 $(GO) test -run '^TestContainers' -count=1 -v -timeout 40m .; \
	else \
		echo 'compose-test: skipped, since there is no Docker engine here'; \
	fi

# CI runs what gives the same result every time. Fuzzing and the race detector
# look for faults that are not known yet: run them when you can look at what they
# find.
.PHONY: ci
ci: build lint deployments model test ## What CI runs: build, lint, deployments, model, test

.PHONY: check
check: ci vuln fuzz test-race ## All of it: ci, vuln, fuzz, test-race

##@ Keep house

.PHONY: clean
clean: ## Remove what was built, and the linter
	rm -rf bin dist .cache

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## "; print "inviteq: durable Clerk invitations. Usage: make TARGET [NAME=value]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
