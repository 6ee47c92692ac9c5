# make demo   the main job, end to end, on this machine          make test   all but the end-to-end tests, on a real Slurm too
# make lint   linters, formatting, shell scripts                 make e2e    whole runs, a browser, a login node
# make help   all targets                                        go test -short ./...   the quick loop, needs nothing but Go

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
GO_BUILD := CGO_ENABLED=0 go build -trimpath
# Debian's interpreter: the packages that the tests need belong to it, not to whatever python3 comes first on PATH.
PYTHON := PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3
GOLANGCI_VERSION := 2.15.0
DEMO_DIR := demo/$(shell date +%Y%m%d-%H%M%S)
# Whole runs of the binary have packages of their own: in e2e of the one that users get, in faults of one that watches for
# races. Elsewhere what needs a browser or a login node is told by its name.
E2E_PACKAGES := ./cmd/ci-disagg/e2e ./cmd/ci-disagg/faults
E2E_TESTS := ^Test(Browser|SSH)
# Long tables that the race detector makes five times longer: they compute, and what goroutines share in their packages is
# shared in other tests too, under -race. Scripts starts the binary 600 times, for verbs that end at once; whole runs of it
# are under -race in faults. One that is renamed runs under -race until it is named here again.
PLAIN_TESTS := ^Test(Scripts|WhatAServerEndedOf|EveryConfigOnARealCluster|OutputsNeverContradict|OutputsOfOddRunsNeverContradict|CommentsCiteWhatIsThere|RandomDocuments|JSONFaultsNameTheLine|CandidateLinesAreBounded|PowerIsMonotone|ReplayGivesTheSameDecision|RecordedHistories|GeneratedHistories|CUDAErrors|Attribution|Bounded|FoldVeryMany|Corpus|Metamorphic)$$

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## bin/ci-disagg, one static binary
	$(GO_BUILD) -o $(BIN)/ci-disagg ./cmd/ci-disagg

.PHONY: demo
demo: ## sets up what is missing, builds, runs three cases on this machine, prints where the report is
	.ci/setup demo
	$(MAKE) --no-print-directory build
	$(BIN)/ci-disagg run --config testdata/demo/ci-disagg.yaml --test-list testdata/demo/suite.txt --run-dir $(DEMO_DIR)
	@echo; echo "The report is in $(DEMO_DIR)/report:"; ls $(DEMO_DIR)/report

.PHONY: demo-generic
demo-generic: setup build ## the examples that run on this machine: redis, PostgreSQL, nginx; a minute
	for name in redis postgres nginx; do $(BIN)/ci-disagg run --config examples/$$name.yaml --run-dir $(DEMO_DIR)-$$name; done
	@echo; echo "The reports are in $(DEMO_DIR)-*/report."

.PHONY: setup
setup: ## Debian packages for tests and linters (as root or through sudo)
	.ci/setup test

# The go tests tell as they go. What runs beside them mostly waits, and tells in one piece when it is over; should we be
# interrupted, it ends with us.
.PHONY: test
test: setup ## all but the end-to-end tests, real Slurm included, under -race but for long tables, at most 10 minutes
	set -m; $(MAKE) --no-print-directory -j2 --output-sync=target test-python test-jenkins & beside=$$!; set +m; trap 'kill -- -$$beside 2>/dev/null || true' EXIT; \
	  failed=0; $(MAKE) --no-print-directory test-go || failed=$$?; wait $$beside || failed=$$?; trap - EXIT; exit $$failed

.PHONY: test-go
test-go:
	failed=0; .ci/gotest plain -race=false -run '$(PLAIN_TESTS)' $$(grep -rlE --include=*_test.go 'func $(PLAIN_TESTS:^%$$=%)\(' cmd internal tools | xargs -n1 dirname | sort -u | sed 's|^|./|') || failed=$$?; \
	.ci/gotest test -skip '$(E2E_TESTS)|$(PLAIN_TESTS)' $$(go list ./... | grep -vxF "$$(go list $(E2E_PACKAGES))") || failed=$$?; exit $$failed

.PHONY: e2e
e2e: setup ## the end-to-end tests: whole runs on a real Slurm, aborts by Jenkins, quick faults, a browser, a login node
	failed=0; $(MAKE) --no-print-directory e2e-runs || failed=$$?; $(MAKE) --no-print-directory e2e-in-packages || failed=$$?; exit $$failed

.PHONY: e2e-runs e2e-in-packages
e2e-runs:
	.ci/gotest e2e $(E2E_PACKAGES)
e2e-in-packages:
	.ci/gotest e2e-in-packages -run '$(E2E_TESTS)' $$(grep -rlE --include=*_test.go 'func $(E2E_TESTS:^%=%)' internal | xargs -n1 dirname | sort -u | sed 's|^|./|')

.PHONY: tutorial
tutorial: setup ## types what docs/tutorial.md shows and reads what comes, a minute
	go test -count=1 -run TestTutorial ./cmd/ci-disagg/e2e

.PHONY: screenshots
screenshots: setup ## takes the pictures of docs/ anew; a test tells when they are stale
	CI_DISAGG_SCREENSHOTS=1 go test -count=1 -run '^TestScreenshots$$' ./internal/report/publish ./internal/report/publish/trendpages

.PHONY: test-python
test-python: vectors
	cd testdata/workload && $(PYTHON) -m pytest -q tests

.PHONY: vectors
vectors: ## the reference vectors of the verdict, recomputed by an independent implementation
	$(PYTHON) tools/vectors/bws.py
	$(PYTHON) tools/vectors/paired.py

.PHONY: test-jenkins
test-jenkins: ## the shared library, with Debian's groovy and the real binary: three minutes, most of it waiting
	jenkins/test/run

.PHONY: lint-jenkins
lint-jenkins: ## npm-groovy-lint, which needs Node 20 and a JDK
	.ci/groovy-lint --noserver --config $(CURDIR)/jenkins --failon info --output txt jenkins/vars/*.groovy jenkins/examples/*.Jenkinsfile Jenkinsfile

.PHONY: rooms
rooms: ## lines, function lengths, complexity, methods, fields and imports of every package
	go run ./tools/rooms

.PHONY: lint
lint: $(BIN)/golangci-lint lint-jenkins ## golangci-lint, gofumpt, limits of rooms, dead code, known vulnerabilities, shellcheck, npm-groovy-lint
	$(BIN)/golangci-lint run ./...
	$(BIN)/golangci-lint fmt --diff
	go run ./tools/rooms -check
	.ci/deadcode
	.ci/vulncheck
	shellcheck $$(.ci/scripts)

# The version is part of the rule: an older one lying there is replaced.
$(BIN)/golangci-lint: Makefile
	@if ! $(BIN)/golangci-lint version 2>/dev/null | grep -qF ' $(GOLANGCI_VERSION) '; then \
	  if found=$$(command -v golangci-lint) && "$$found" version | grep -qF ' $(GOLANGCI_VERSION) '; then mkdir -p $(BIN) && ln -sfn "$$found" $@; \
	  else GOBIN=$(BIN) .ci/again go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION); fi; fi
	@touch -h $@

.PHONY: faults
faults: setup ## the whole fault matrix on a real Slurm, the driver under random kills, an aborted build; idle machine, under 40 minutes
	table=$$(mktemp); trap 'cat "$$table"; rm -f "$$table"' EXIT; \
	  CI_DISAGG_FAULTS=all CI_DISAGG_FAULTS_TABLE=$$table go test -count=1 -timeout 40m -parallel 4 -run '^TestFaultMatrix$$' ./cmd/ci-disagg/faults
	CI_DISAGG_FAULTS=all go test -count=1 -timeout 30m ./internal/launch/drive ./internal/launch/script
	CI_DISAGG_FAULTS=all go test -count=1 -timeout 10m -run '^(TestJenkinsAbort|TestRegressionOfAHotCard)$$' ./cmd/ci-disagg/e2e

.PHONY: bench-faults
bench-faults: setup ## a crash with our agent and with the plain draft; Slurm queries for 50 jobs, ours and one per job and minute
	go test -run '^$$' -bench GenCrash -benchtime 1x -timeout 10m ./cmd/ci-disagg/faults
	go test -count=1 -run '^TestCallsOfALargeSuite$$' -v ./internal/launch/drive | grep -A2 'queries an hour'

.PHONY: verdict-eval
verdict-eval: ## false alarms and detection of the verdict rules on recorded and generated histories, five minutes of 16 cores
	go run ./tools/verdicteval

.PHONY: ab-eval
ab-eval: ## how often the paired test is right and wrong, 10,000 sessions a cell: a quarter of an hour (AB_SESSIONS=1000: a minute)
	go run ./tools/abeval -sessions $(or $(AB_SESSIONS),10000)

.PHONY: bench-end
bench-end: setup ## how soon a run is over: a server's end to the end record and to the exit, SIGTERM to scancel; median of GOES=10, in turn with the commit BEFORE=HEAD~1, idle machine
	d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && git archive $(or $(BEFORE),HEAD~1) | tar -x -C "$$d" && \
	CI_DISAGG_BENCH_BEFORE="$$d" go test -run '^$$' -bench BenchmarkEnd -benchtime $(or $(GOES),10)x -timeout 60m ./cmd/ci-disagg/faults

.PHONY: bench-steplog
bench-steplog: ## a 2 GB generation server log: our reader beside a loop in Python, MB/s and peak memory
	PYTHON=/usr/bin/python3 tools/steplogbench/run.sh 2000

.PHONY: bench-merge
bench-merge: ## our merge beside junit-report-merger, junit-merge and junitparser: speed, memory, what each loses (minutes)
	.ci/setup bench
	testdata/junit/bench-merge.sh

.PHONY: bench-store
bench-store: ## judge one case among a million stored runs, directory and PostgreSQL (5 GB in $TMPDIR, minutes)
	go test -run '^$$' -bench BenchmarkStore -benchtime 100x -timeout 60m ./internal/report/baseline -args -runs 1000000

.PHONY: bench-trends
bench-trends: ## the pages of 'trends' over 200 cases and a year of nights, cold and with one night more; fails beyond 60 s, 10 s or 500 MB
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; go run ./tools/trendsbench -store "dir:$$dir/store" -o "$$dir/site"

.PHONY: bench-report
bench-report: ## render 200 cases with 90 days of history each: seconds and peak memory, fails beyond 5 s or 300 MB
	go test -run '^$$' -bench BenchmarkReport -benchtime 1x ./internal/report/publish

.PHONY: upstream-check
upstream-check: ## DIR=checkout: what we rely on in TensorRT-LLM, held against a checkout of it
	@go run ./tools/upstreamcheck "$(DIR)"

# module, version, module directory, package directory: what tools/notices reads
MODULE_OF_PACKAGE := {{with .Module}}{{if not .Main}}{{.Path}}{{"\t"}}{{.Version}}{{"\t"}}{{.Dir}}{{"\t"}}{{$$.Dir}}{{end}}{{end}}

# Released binaries are built by the toolchain that go.mod names, whose standard library .ci/vulncheck has looked at.
.PHONY: release
release: export GOTOOLCHAIN := $(shell awk '$$1 == "toolchain" {print $$2}' go.mod)
release: ## static binaries for amd64 and arm64 with checksums, manual pages and the licences of what is linked in, in dist/
	rm -rf dist && mkdir dist
	for arch in amd64 arm64; do GOOS=linux GOARCH=$$arch $(GO_BUILD) -ldflags "-s -w -X main.version=$$(cat jenkins/resources/ci-disagg/version)" -o dist/ci-disagg-linux-$$arch ./cmd/ci-disagg; done
	{ go list -deps -f '$(MODULE_OF_PACKAGE)' ./cmd/ci-disagg | grep .; printf '%s\t' 'Go standard library' "$$(go env GOVERSION)" "$$(go env GOROOT)"; go env GOROOT; } \
	  | go run ./tools/notices >dist/THIRD_PARTY_NOTICES.txt
	go run -ldflags "-X main.version=$$(cat jenkins/resources/ci-disagg/version)" ./cmd/ci-disagg man -o dist
	tar -C dist --owner=0 --group=0 --sort=name -czf dist/ci-disagg-man.tar.gz man1 && rm -r dist/man1
	cd dist && sha256sum ci-disagg-linux-* ci-disagg-man.tar.gz | tee SHA256SUMS

.PHONY: clean
clean: ## removes what the other targets made
	rm -rf bin dist demo coverage reports
