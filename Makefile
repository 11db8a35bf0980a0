# Every target that needs PostgreSQL, a C compiler, Chromium, Node.js, Python or
# ShellCheck installs Debian's package when it is missing and it may, or says in one
# line what to type.
SHELL := /bin/sh
GO ?= go
PORT ?= 8080

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/factgate (static, no C compiler needed)
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/factgate ./cmd/factgate

.PHONY: demo
demo: build postgres ## Upload the example packages to a Factgate of its own and explain each verdict
	@GO="$(GO)" sh scripts/demo.sh

.PHONY: run
run: build postgres ## Run a whole Factgate on http://127.0.0.1:8080 (PORT=… for another port), data in ./factgate-data
	bin/factgate run --listen 127.0.0.1:$(PORT)

.PHONY: examples
examples: ## Pack the example packages into bin/examples
	@mkdir -p bin/examples
	$(GO) run ./examples/pack -out bin/examples

# -vet=all is what go vet says, of packages without tests too; go vet before it would
# compile everything once more, without the race detector. Tests of servers wait more
# than they work: a third package fills the two cores.
.PHONY: test
test: postgres compiler chromium node python shellcheck ## Run every test, with the race detector
	$(GO) test -race -vet=all -p 3 -timeout 20m ./...

.PHONY: conformance
conformance: ## Run the official Go client's own test suite against factgate node
	@GO="$(GO)" sh scripts/conformance-go.sh

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (default 10s) each
	@sh scripts/fuzz.sh "$${FUZZTIME:-10s}"

.PHONY: torture
torture: ## Kill the event store KILLS times (default 2000) and cut its power as often, under load
	$(GO) test -timeout 0 -v -run 'TestKillLoses|TestPowerLoss' ./eventstore/node -kills $${KILLS:-2000} -powercuts $${KILLS:-2000}

.PHONY: faults
faults: postgres ## Kill and freeze every role under uploads, ROUNDS times (default 3), and print the fault matrix
	$(GO) test -count 1 -timeout 0 -v -run TestFaultMatrix ./cmd/factgate -faults $${ROUNDS:-3}

.PHONY: bench
bench: postgres ## Run all benchmarks
	$(GO) test -run '^$$' -bench . -benchtime 1s -timeout 0 ./...

.PHONY: bench-store
bench-store: build postgres ## Measure the event store beside its peers and floors (ARGS='-quick', '-json FILE', …)
	cd bench && $(GO) run ./store -factgate ../bin/factgate $(ARGS)

.PHONY: bench-readmodel
bench-readmodel: build postgres node ## Measure the read model beside its peers and its floor (ARGS='-quick', '-parts rebuild,live', …)
	cd bench && $(GO) run ./readmodel -factgate ../bin/factgate $(ARGS)

.PHONY: bench-scan
bench-scan: node compiler sqlfluff ## Measure the scanners beside their peers (ARGS='-quick', '-parts sql,zip', …)
	cd bench && $(GO) run ./scan $(ARGS)

.PHONY: calibrate
calibrate: ## Run the SQL scanner over published SQL and say what was not understood (ARGS='-examples 5'); PostgreSQL's needs deb-src
	cd bench && $(GO) run ./calibrate $(ARGS)

.PHONY: bench-smoke
bench-smoke: postgres node compiler sqlfluff ## See that the bench-… targets still work; their module is not part of make test
	cd bench && $(GO) vet ./... && $(GO) test -timeout 10m ./...

.PHONY: lint
lint: ## Run the linters of .golangci.yml (built from source at its pinned version)
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run ./...

.PHONY: web
web: ## Rebuild console/dist from its sources (needs Node and npm)
	cd console && npm ci --no-audit --no-fund && npm run build

.PHONY: web-check
web-check: web ## Rebuild console/dist and fail if it differs from what is committed
	git diff --exit-code -- console/dist

.PHONY: golden
golden: ## Rewrite golden files after an intended change; read the diff
	$(GO) test $$(grep -rlE 'flag\.Bool\("update"|scannertest\.Cases' --include='*_test.go' scanners domain | xargs -n 1 dirname | sort -u | sed 's|^|./|') -update
	$(GO) test ./cmd/factgate -run TestThePagesOfRulesAreThoseOfTheCode -update

.PHONY: clean
clean: ## Remove what was built (data folders stay)
	rm -rf bin

.PHONY: postgres compiler chromium node python shellcheck sqlfluff
postgres:
	@sh scripts/ensure-postgres.sh
compiler:
	@sh scripts/ensure-compiler.sh
chromium:
	@sh scripts/ensure-chromium.sh
node:
	@sh scripts/ensure-node.sh
python:
	@sh scripts/ensure-python.sh
shellcheck:
	@sh scripts/ensure-shellcheck.sh
sqlfluff:
	@sh scripts/ensure-sqlfluff.sh
