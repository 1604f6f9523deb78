# Everything a developer runs. `make help` lists it.
#
# On a new machine only Go (1.21 or newer: it fetches the release that go.mod
# names), git and make have to be there; .ci/setup installs or names the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
CACHE   := $(CURDIR)/.cache
# Where .ci/setup puts a Go of its own, and where Go's own installer does.
export PATH := $(CACHE)/go/bin:$(PATH):/usr/local/go/bin

GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)
VULN_VERSION := v1.9.0

# Packages tested at a time.
TEST_PARALLEL ?= 2
TEST_TIMEOUT  ?= 25m
PKG ?= ./...

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## a static bin/penstock
	@.ci/setup go
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/penstock ./cmd/penstock

.PHONY: test
test: ## all tests with the race detector, on real servers that it starts and stops, and a minute of fuzzing each parser
	@.ci/setup go cgo
	TEST_PARALLEL=$(TEST_PARALLEL) TEST_TIMEOUT=$(TEST_TIMEOUT) .ci/test $(PKG)
	$(if $(filter ./...,$(PKG)),.ci/fuzz)

.PHONY: fuzz
fuzz: ## fuzz the parsers of bytes from outside, for FUZZ_TIME=60s each; part of make test
	@.ci/setup go
	.ci/fuzz

.PHONY: chaos
chaos: ## kill and restart everything under load, RUNS=5 times, KILLS=20 times each (SEED= repeats a run)
	@.ci/setup go cgo
	CHAOS_RUNS=$(or $(RUNS),5) CHAOS_KILLS=$(or $(KILLS),20) CHAOS_SEED=$(SEED) TEST_TIMEOUT=12h \
	  .ci/test -v -count=1 -run 'TestChaos_(Killing|Restarting)' ./integration/chaos

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint on all packages, or on PKG=./kafka/...
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(GOLANGCI) run $(PKG)

.PHONY: fmt
fmt: $(GOLANGCI) ## format the code as lint wants it
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(GOLANGCI) fmt $(PKG)

$(GOLANGCI):
	@.ci/setup go
	@mkdir -p $(CACHE)/tmp
	GOBIN=$(CACHE)/tmp GOFLAGS= CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mkdir -p $(@D) && mv $(CACHE)/tmp/golangci-lint $@

.PHONY: vuln
vuln: ## known vulnerabilities in what the binary really calls
	@.ci/setup go
	go run golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) ./cmd/...

.PHONY: generate
generate: ## the files that are made from the code
	@.ci/setup go
	go generate ./...

.PHONY: demo
demo: ## MySQL to MongoDB and Postgres to Elasticsearch, compared row by row (KEEP=1 leaves it running)
	@.ci/setup go
	@go run ./integration/demo

.PHONY: bench
bench: ## speed, latency and memory beside the raw protocols (ROWS= ROUNDS= CASES=; PEER=1 adds Debezium)
	@.ci/setup go
	@go run ./integration/bench

.PHONY: servers
servers: ## start every server the tests use, keep them up and print their addresses
	@.ci/setup go
	@go run ./integration/servers/cmd/servers up

.PHONY: servers-down
servers-down: ## stop them
	@go run ./integration/servers/cmd/servers down

.PHONY: clean
clean: ## remove what was built here (downloaded servers stay, in ~/.cache/penstock or /var/cache/penstock)
	rm -rf bin $(CACHE) penstock-data
