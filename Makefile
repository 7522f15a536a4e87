# `make` alone says what there is.

# Flags for go test, say -race or -run Name.
TESTFLAGS ?=
# BENCH=short is a few seconds a row.
BENCH ?=
# How long each decoder is fuzzed.
FUZZTIME ?= 30s
# Arguments of the demo, say --listen tcp://127.0.0.1:1884.
ARGS ?=

TOOL := go tool -modfile=build/tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help run test check peers bench fuzz proof rig cross clean

help: ## say what there is (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the demo: a simulated board and stick, and a broker on 127.0.0.1:1883
	@go run ./cmd/edge demo $(ARGS)

test: ## all tests that this machine can run (TESTFLAGS=-race)
	@go test $(TESTFLAGS) ./...

check: ## what must be green before a commit: format, lint, vet for ARMv6, tests
	@build/gofumpt
	@$(TOOL) golangci-lint run
	@GOOS=linux GOARCH=arm GOARM=6 CGO_ENABLED=0 go vet ./...
	@go test $(TESTFLAGS) ./...

peers: ## install what the tests compare with: mosquitto, its clients, haproxy, strace, QEMU, mqtt.js (Debian)
	@build/peers

bench: ## CPU time a message, beside other brokers (BENCH=short)
	@go run ./bench $(if $(filter short,$(BENCH)),--short)

fuzz: ## fuzz every decoder for FUZZTIME=30s
	@build/fuzz $(FUZZTIME)

proof: ## prove for hours that an acknowledgement means "on disk" (KILLS, CUTS, CRASHES, DECISIONS, CYCLES)
	@build/proof

rig: ## the tests on a real kernel with simulated GPIO lines, in QEMU (TESTFLAGS=-v)
	@build/rig $(TESTFLAGS)

cross: ## build for amd64, arm64, armv7, armv6 into dist/, twice, and run each
	@build/cross

clean: ## remove what was built
	@rm -rf dist edge
