# One command equals CI: `make verify` only reads, `make fix` changes files. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO      ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
HAWSER     ?= $(TARGET_DIR)/release/hawser
SIMULATOR  ?= $(TARGET_DIR)/release/hawser-sim
HOME_DIR   ?= .hawser
SUITE      ?= intl
NODES      ?= 4
RPC_PORT   ?= 8545
P2P_PORT   ?= 9545
SEEDS      ?= 100
HOURS      ?= 1
EACH       ?= 10
SEED       ?= 1
SURVIVAL   ?= $(TARGET_DIR)/release/hawser-survival
BENCH_OUT  ?= target/bench
BENCH_ARGS ?=
CARGO_DENY ?= cargo deny
# Tests build with the profile that users run, so that they need one build and prove the real thing.
CARGO_FLAGS := --release --locked

.PHONY: help up down status build build-tools test rust-test e2e clients-reference verify fix fmt fmt-fix clippy doc \
        layers deny bench simulate simulate-few release clean need-cargo need-cc need-node

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  up takes SUITE=intl|sm NODES=$(NODES) RPC_PORT=$(RPC_PORT) P2P_PORT=$(P2P_PORT) HOME_DIR=$(HOME_DIR);"
	@echo "  simulate takes SEEDS=n FROM=seed JOBS=n; faults takes SEED=s; soak takes HOURS=n SEED=s NEXT=program; fuzz takes HOURS=n, fuzz-short EACH=seconds; bench takes BENCH_OUT=folder and BENCH_ARGS='--workload erc20 …'."

need-cargo:
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "make: cargo is missing. Install Rust 1.95 or newer from https://rustup.rs and try again." >&2; exit 2; }

need-cc:
	@command -v cc >/dev/null || { echo "make: a C compiler is missing (secp256k1 and the TLS provider need one). On Debian: apt-get install gcc" >&2; exit 2; }

.PHONY: console console-test
console: need-node console/dist/index.html ## Build the web console, which the binary embeds

console/dist/index.html: $(shell find console/src console/public -type f 2>/dev/null) console/index.html console/vite.config.ts console/tsconfig.json console/package.json console/package-lock.json
	cd console && npm ci --no-audit --no-fund && npm run build
	@touch $@

console-test: need-node ## Tests of the console
	cd console && npm ci --no-audit --no-fund && npm test

build: need-cargo need-cc console ## Build the binary (release) with its console
	$(CARGO) build $(CARGO_FLAGS) -p hawser

need-node:
	@command -v npm >/dev/null || { echo "make: Node.js 20 or newer with npm is missing (it builds the web console). On Debian: apt-get install nodejs npm" >&2; exit 2; }

build-tools: need-cargo need-cc
	$(CARGO) build $(CARGO_FLAGS) -p hawser -p hawser-simulation

up: build ## Build, then start a local network of four validators
	$(HAWSER) up --home $(HOME_DIR) --suite $(SUITE) --nodes $(NODES) --rpc-port $(RPC_PORT) --p2p-port $(P2P_PORT)

down: ## Stop the local network
	@test -x $(HAWSER) || { echo "make: $(HAWSER) is not built, so nothing can run from here; try make build" >&2; exit 2; }
	$(HAWSER) down --home $(HOME_DIR)

status: ## Show the local network
	@test -x $(HAWSER) || { echo "make: $(HAWSER) is not built; try make build" >&2; exit 2; }
	$(HAWSER) status --home $(HOME_DIR)

test: build clients-setup ## All tests: Rust, and real clients against the real binary
	HAWSER_BIN="$(abspath $(HAWSER))" $(CARGO) test $(CARGO_FLAGS) --workspace --no-fail-fast

.PHONY: clients-setup
clients-setup: ## Install the pinned client libraries into tests/clients
	scripts/clients-setup

.PHONY: peers-setup
peers-setup: ## Install what hawser bench --against hardhat runs into benchmarks/peers/hardhat
	scripts/peers-setup

rust-test: need-cargo need-cc ## Rust tests without the end-to-end ones
	$(CARGO) test $(CARGO_FLAGS) --workspace --exclude hawser-e2e

e2e: build clients-setup ## End-to-end tests only
	HAWSER_BIN="$(abspath $(HAWSER))" $(CARGO) test $(CARGO_FLAGS) -p hawser-e2e

.PHONY: long-tests
long-tests: build clients-setup ## What is too long for every day, before a release: an hour and a half
	HAWSER_BIN="$(abspath $(HAWSER))" $(CARGO) test $(CARGO_FLAGS) --workspace -- --ignored \
		--skip write_seeds --skip writes_cases_for_another_implementation

.PHONY: interop
interop: need-cargo need-cc clients-setup ## National cryptography against OpenSSL, sm-crypto and gmssl; rules against Starlark
	$(CARGO) test $(CARGO_FLAGS) -p hawser-interop

clients-reference: clients-setup ## Check the client tests themselves against an independent node
	cd tests/clients && node run.mjs --reference anvil

verify: fmt clippy doc layers deny test simulate-few ## Everything CI checks; changes no source file

fix: need-cargo ## Format, and apply what clippy can fix
	$(CARGO) clippy --fix --allow-dirty --allow-staged --locked --workspace --all-targets
	$(CARGO) fmt --all

fmt: need-cargo ## Check the formatting
	$(CARGO) fmt --all --check

clippy: need-cargo need-cc ## Lint everything; warnings are errors
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

doc: need-cargo ## Build the Rust documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGO_FLAGS) --workspace --no-deps

layers: need-cargo ## Check that dependencies point downwards
	$(CARGO) test $(CARGO_FLAGS) -p hawser-architecture

deny: need-cargo ## Check licences, bans and sources; advisories where the database can be had
	CARGO_DENY="$(CARGO_DENY)" scripts/deny

simulate: build-tools ## Run SEEDS simulated worlds
	$(SIMULATOR) --seeds $(SEEDS) $(if $(FROM),--from $(FROM)) $(if $(JOBS),--jobs $(JOBS))

simulate-few: build-tools
	$(SIMULATOR) --seeds 10

.PHONY: survival-build faults soak
survival-build: build
	$(CARGO) build $(CARGO_FLAGS) -p hawser-survival

faults: survival-build ## Faults on real processes and links; writes docs/reports/faults.md (namespaces need root, iproute2, socat)
	HAWSER_BIN="$(abspath $(HAWSER))" $(SURVIVAL) faults --seed $(SEED)

soak: survival-build ## Load, faults, upgrades, pruning and membership for HOURS from SEED; writes docs/reports/soak.md
	HAWSER_BIN="$(abspath $(HAWSER))" $(SURVIVAL) soak --hours $(HOURS) --seed $(SEED) $(if $(NEXT),--next "$(NEXT)")

.PHONY: mutations fuzz fuzz-build fuzz-short fuzz-keep sbom
# With the features of the whole workspace, so that crates of others are built once for all tests.
mutations: need-cargo need-cc ## A million damaged inputs for each decoder
	HAWSER_MUTATIONS=$${HAWSER_MUTATIONS:-1000000} $(CARGO) test $(CARGO_FLAGS) --workspace --test mutations -- --nocapture

fuzz: need-cargo need-cc ## Coverage-guided fuzzing of each decoder for HOURS in all (default 1)
	CARGO="$(CARGO)" scripts/fuzz hours "$(HOURS)"

fuzz-build: need-cargo need-cc
	CARGO="$(CARGO)" scripts/fuzz build

fuzz-short: need-cargo need-cc ## The same for EACH seconds per decoder (default 10), from the kept inputs
	CARGO="$(CARGO)" scripts/fuzz short "$(EACH)"

fuzz-keep: need-cargo need-cc ## Take what fuzzing has found into fuzz/corpus
	CARGO="$(CARGO)" scripts/fuzz keep

sbom: need-cargo ## Write the bill of materials (CycloneDX) and look at it
	mkdir -p target/dist
	scripts/sbom target/dist/sbom.json
	scripts/sbom --check target/dist/sbom.json

.PHONY: mutants
mutants: need-cargo need-cc ## Break each safety rule on purpose; the simulation must notice
	$(CARGO) test $(CARGO_FLAGS) --workspace --features hawser-simulation/mutants --test mutants

bench: build ## Measure, and write the report to BENCH_OUT
	mkdir -p $(BENCH_OUT)
	$(HAWSER) bench --out $(BENCH_OUT) $(BENCH_ARGS)

release: verify ## Verify, then pack the binary into target/dist
	scripts/pack "$(HAWSER)" target/dist

clean: ## Remove what was built and installed here; a local network's data stays
	$(CARGO) clean
	rm -rf tests/clients/node_modules tests/clients/.venv target/dist target/bench
