# make help says what there is. Go and make are enough for building and testing; git, where it is there, names the
# version, and a C compiler, where it is there, lets the race detector in. make package needs GNU's tools besides;
# package-check, image, test-image, test-page and test-systemd say themselves what they need.

SHELL := /bin/sh
.DEFAULT_GOAL := help

GO     ?= go
BINARY := bin/drone-otel-agent
# e2e/ and tools/ are modules of their own, so that what they need stays out of the agent's go.mod.
MODULES      := . e2e e2e/kubernetes tools tools/nfpm tools/promtool
CODE_MODULES := . e2e e2e/kubernetes

CC_FOUND := $(shell command -v "$$($(GO) env CC | cut -d' ' -f1)" 2>/dev/null)
RACE     := $(if $(CC_FOUND),-race)

# As many digits whatever git's settings and the number of objects.
VERSION  ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null | sed 's/^v//')
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
BRANCH   := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
# The commit's date, not today's: the same commit gives the same binary.
DATE     := $(shell git log -1 --format=%cI 2>/dev/null)

VERSION_PACKAGE := github.com/prometheus/common/version
LDFLAGS := -s -w \
	-X $(VERSION_PACKAGE).Version=$(or $(VERSION),unknown) \
	-X $(VERSION_PACKAGE).Revision=$(REVISION) \
	-X $(VERSION_PACKAGE).Branch=$(BRANCH) \
	-X $(VERSION_PACKAGE).BuildDate=$(DATE)

LINTER := tool -modfile=$(CURDIR)/tools/go.mod golangci-lint run --allow-parallel-runners

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the agent beside a simulated busy Drone server; EDITION=community, ARGS=... for more flags
	@$(GO) build -o bin/demo ./demo
	@exec bin/demo $(if $(EDITION),-edition $(EDITION)) $(ARGS)

.PHONY: build
build: ## a static binary with its version, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) .

SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
COMMIT_TIME       := $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S 2>/dev/null)
PACKAGE_VERSION   ?= $(shell deploy/package/version.sh '$(VERSION)' '$(COMMIT_TIME)')
ARCHES            ?= amd64 arm64
DIST              ?= dist
MAINTAINER        ?= The drone-otel-agent authors <authors@drone-otel-agent.invalid>

# The branch is empty: the same commit has the same binary wherever it is checked out.
PACKAGE_ENV := GO='$(GO)' SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' PACKAGE_VERSION='$(PACKAGE_VERSION)' \
	MAINTAINER='$(MAINTAINER)' ARCHES='$(ARCHES)' \
	LDFLAGS='$(LDFLAGS) -X $(VERSION_PACKAGE).Version=$(PACKAGE_VERSION) -X $(VERSION_PACKAGE).Branch='

.PHONY: package
package: ## .deb, .rpm, tarballs, checksums in dist/; ARCHES=amd64, DIST=folder, PACKAGE_VERSION=1.2.3
	@$(PACKAGE_ENV) DIST='$(DIST)' deploy/package/build.sh

.PHONY: package-check
package-check: package ## the packages can be built again to the byte; lintian and rpm, which it needs, find no fault
	@$(PACKAGE_ENV) DIST='$(DIST)' deploy/package/check.sh

# An image in Docker's format: OCI's has no place for the health check. Docker itself takes neither word.
IMAGE       ?= drone-otel-agent
ENGINE      ?= $(firstword $(foreach engine,podman buildah docker,$(shell command -v $(engine) 2>/dev/null)))
IMAGE_FLAGS := $(if $(filter docker,$(notdir $(firstword $(ENGINE)))),,--format docker --timestamp $(SOURCE_DATE_EPOCH))

.PHONY: image
image: build ## the container's image, by podman, buildah or docker; ENGINE=docker, IMAGE=name, GOARCH=arm64
	@[ -n '$(ENGINE)' ] || { echo 'make image needs podman, buildah or docker' >&2; exit 1; }
	@rm -rf bin/state && mkdir -m 755 bin/state && mkdir -m 700 bin/state/drone-otel-agent
	$(ENGINE) build $(IMAGE_FLAGS) --platform "linux/$$($(GO) env GOARCH)" --build-arg VERSION='$(or $(VERSION),unknown)' \
		--build-arg REVISION='$(REVISION)' --build-arg CREATED='$(DATE)' --file Containerfile \
		--tag '$(IMAGE):$(or $(VERSION),unknown)' --tag '$(IMAGE):latest' .

.PHONY: test
test: test-unit test-e2e ## units, scripts of the real command, the real Collector and Prometheus, faults

.PHONY: test-unit
test-unit: ## units and scripts of the real command
	$(GO) test $(RACE) ./...

# The race detector watches the agent there, not the Collector and Prometheus around it. -count=1: go test
# does not see that the binary it ran has changed. -p 1: what times scrapes has the machine for itself.
.PHONY: test-e2e
test-e2e: ## the agent's binary beside the real Collector and the real Prometheus
	cd e2e && AGENT_BUILD_FLAGS='$(RACE)' $(GO) test -count=1 -p 1 ./...

# The package of this commit, and the same as a later version, for the upgrade.
.PHONY: test-systemd
test-systemd: ## the Debian package on a booted systemd: needs Debian and root
	@e2e/systemd/container.sh root >/dev/null
	@$(MAKE) --no-print-directory package ARCHES="$$($(GO) env GOARCH)" DIST=bin/systemd/first
	@$(MAKE) --no-print-directory package ARCHES="$$($(GO) env GOARCH)" DIST=bin/systemd/next \
		PACKAGE_VERSION='$(PACKAGE_VERSION)+next'
	cd e2e && AGENT_PACKAGES='$(CURDIR)/bin/systemd' $(GO) test -count=1 -tags systemd -timeout 15m ./systemd

.PHONY: test-page
test-page: ## the status page in a real browser: needs npm, and Chromium, which it installs on Debian as root
	cd e2e && $(GO) test -count=1 -tags browser -timeout 20m ./browser

.PHONY: test-image
test-image: ## the container's image, built and run by podman: needs Debian and root
	cd e2e && $(GO) test -count=1 -tags image -timeout 20m ./image

.PHONY: test-kubernetes
test-kubernetes: ## the manifests, by Kubernetes' own code
	cd e2e/kubernetes && $(GO) test -count=1 ./...

# Prometheus's own tool, without the service discoveries, which are most of it. PROMTOOL=promtool takes another one. Its
# module has Prometheus itself, too, which e2e/examples builds the same way.
PROMTOOL ?= bin/promtool
RULES    := deploy/prometheus

bin/promtool: tools/promtool/go.mod tools/promtool/go.sum
	cd tools/promtool && CGO_ENABLED=0 $(GO) build -tags remove_all_sd -o '$(CURDIR)/$@' \
		github.com/prometheus/prometheus/cmd/promtool

# The configuration is checked beside the files that it names, of which the token is nobody's.
.PHONY: test-rules
test-rules: $(filter bin/promtool,$(PROMTOOL)) ## Prometheus's rules and configuration, by promtool
	@rm -rf bin/prometheus && mkdir -p bin/prometheus && cp $(RULES)/*.yaml bin/prometheus && : >bin/prometheus/drone-token
	$(PROMTOOL) check config --lint=all --lint-fatal bin/prometheus/prometheus.yaml
	$(PROMTOOL) check rules --lint=all --lint-fatal $(RULES)/rules.yaml
	$(PROMTOOL) test rules $(RULES)/tests/*.yaml

.PHONY: bench
bench: ## requests, bytes, time and allocations of a poll, the time of a scrape
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: lint
lint: ## golangci-lint in every module that has code
	@for module in $(CODE_MODULES); do \
		echo "golangci-lint in $$module" && (cd $$module && $(GO) $(LINTER) ./...) || exit 1; \
	done

.PHONY: tidy-check
tidy-check: ## every go.mod and go.sum says what is needed and no more
	@for module in $(MODULES); do \
		echo "go mod tidy -diff in $$module" && (cd $$module && $(GO) mod tidy -diff) || exit 1; \
	done

.PHONY: generate
generate: ## write the generated files anew
	$(GO) generate ./...

# Sums instead of git diff: it holds in an archive without git, in a tree with other changes, and for a
# generated file that nobody has added yet.
SUMS := find . \( -name .git -o -path ./bin -o -path ./dist \) -prune -o -type f -exec cksum {} +

.PHONY: generate-check
generate-check: ## the generated files are as generate writes them
	@before=$$($(SUMS) | sort) && $(MAKE) --no-print-directory generate && after=$$($(SUMS) | sort) && \
	if [ "$$before" != "$$after" ]; then \
		echo "generated files are not what make generate writes; now they are, so commit them:" >&2; \
		printf '%s\n%s\n' "$$before" "$$after" | sort | uniq -u | awk '{ print "  " $$3 }' | sort -u >&2; \
		exit 1; \
	fi

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
