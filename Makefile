# make test is all that CI runs; the other targets are for people.

GO ?= go
# Debian packages of the kernel and Docker tests.
TEST_PACKAGES = iptables ipset iproute2 conntrack nftables docker.io busybox-static dash shellcheck util-linux systemd procps tcpdump ca-certificates ansible-core python3

.PHONY: build test test-packages lint e2e-matrix golden fuzz soak bench

build:
	$(GO) build -o dockerfw ./cmd/dockerfw

# Everything: style, unit tests, goldens, the emitted files in a real kernel on both
# backends, a real Docker engine. Without root the last two are skipped, and say so.
# One package at a time: those with engines look for leftovers on the whole machine.
# Tests wait more than they work, so that four run at a time.
test: test-packages lint
	$(GO) test -count=1 -p 1 -parallel 4 -timeout 60m ./...

# Installs what is missing, as root on Debian; elsewhere the tests say what they lack.
test-packages:
	@if [ "$$(id -u)" != 0 ]; then \
		echo "not root: kernel and Docker tests will be skipped"; \
	elif ! command -v apt-get >/dev/null; then \
		echo "not Debian: kernel and Docker tests need $(TEST_PACKAGES)"; \
	elif ! dpkg -s $(TEST_PACKAGES) >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES) >/dev/null; \
	fi

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@unformatted=$$($(GO) tool gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "run: go tool gofumpt -w ." && echo "$$unformatted" && exit 1; fi

# The Docker tests on the engines of Debian 12, 13 and the next release, with the iptables
# and ipset of each, and docs/engines.md from the results. Needs root. The first run makes
# the releases' root directories in ~/.cache/dockerfw/engines (1.6 GB, a few minutes);
# remove one there to have it made again. MATRIX_FLAGS: see the command's -help.
e2e-matrix: TEST_PACKAGES += debootstrap
e2e-matrix: test-packages
	$(GO) run ./golden/lab/cmd/enginematrix $(MATRIX_FLAGS) docs/engines.md

# Rewrites the golden files; read the diff before you commit it.
golden:
	$(GO) test ./golden -run 'TestExamplesCompileToTheirGoldens|TestBadPolicies|TestTheDocs' -update
	$(GO) test ./cmd/dockerfw -run TestScripts -update

fuzz:
	$(GO) test -fuzz=FuzzParseEntry -fuzztime=1m ./parser/addrlist
	$(GO) test -fuzz=FuzzRead -fuzztime=1m ./parser/addrlist
	$(GO) test -fuzz=FuzzParseRules -fuzztime=1m ./parser/iptables
	$(GO) test -fuzz=FuzzParseSets -fuzztime=1m ./parser/iptables
	$(GO) test -fuzz=FuzzNative -fuzztime=1m ./parser/budget
	$(GO) test -fuzz=FuzzJSON -fuzztime=1m ./parser/budget
	$(GO) test -fuzz=FuzzExplainSyntax -fuzztime=1m ./parser
	$(GO) test -fuzz=FuzzRead -fuzztime=1m ./parser/saved
	$(GO) test -fuzz='FuzzParse$$' -fuzztime=1m ./parser/nft
	$(GO) test -fuzz=FuzzTerminal -fuzztime=1m ./parser/escape
	$(GO) test -fuzz=FuzzMarkdown -fuzztime=1m ./parser/escape
	$(GO) test -fuzz=FuzzReportsAreInert -fuzztime=1m ./cmd/dockerfw/diff
	$(GO) test -fuzz=FuzzIPSets -fuzztime=1m ./compiler/packet
	$(GO) test -fuzz=FuzzPolicy -fuzztime=1m ./cmd/dockerfw/driver

# For an hour or two. As many reloads under fire as a release is worth (make test has 4 on
# each backend); random policies and packets against the kernel, other ones in each run, and
# HOSTS random hosts that dockerfw did not make with 200 packets each on each backend; last,
# apply.sh killed at each call of each tool, and all the other rows of cases that make test
# tries a part of.
SOAK ?= 5000
RELOADS ?= 300
HOSTS ?= 500
soak:
	DOCKERFW_SOAK=1 DOCKERFW_RELOADS=$(RELOADS) $(GO) test ./golden/e2e -count=1 -v -timeout 0 -run 'TestReloadsInterruptNobodyAndAdmitNobodyElse'
	$(GO) test ./golden/e2e -count=1 -v -timeout 0 -rapid.checks=$(SOAK) -run 'TestRandomPoliciesDoInTheKernel|TestWitnessesOfDiff'
	DOCKERFW_SOAK=1 $(GO) test ./golden/e2e -count=1 -v -timeout 0 -rapid.checks=$(HOSTS) -run 'TestExplainSaysOfRandomHosts'
	DOCKERFW_SOAK=1 $(GO) test ./golden/e2e -count=1 -v -timeout 0 -skip 'TestReloadsInterruptNobodyAndAdmitNobodyElse|TestRandomPolicies|TestWitnessesOfDiff|TestExplainSaysOfRandomHosts'

bench:
	$(GO) test -run='^$$' -bench=. -benchmem ./...
