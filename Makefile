# make check before each commit; make test is everything that CI runs. What each target
# leaves out, and the environment variables: docs/contributing/testing.md.

GO ?= go
# Debian packages of the kernel and Docker tests. Those of docker.io and openssh-server start
# their services where they were not installed before.
TEST_PACKAGES = iptables ipset iproute2 conntrack nftables openssh-client openssh-server docker.io busybox-static util-linux systemd tcpdump ca-certificates ansible-core python3 neovim
TEST_PACKAGES += rpm debootstrap mandoc groff-base dnsmasq-base git jq chromium fonts-dejavu-core
# Debian packages that are unpacked into a directory of the user's cache and not installed: installed,
# they would start a firewall on this machine.
FIREWALLS = ufw firewalld fail2ban crowdsec-firewall-bouncer
FIREWALLS_DIR = $${XDG_CACHE_HOME:-$$HOME/.cache}/dockerfw/firewalls
# Debian packages of the programs that benchmarks compare with, unpacked in the same way: ferm and foomuuri
# would start a firewall as well. foomuuri imports PEERS_NEED.
PEERS = ferm iprange foomuuri
PEERS_NEED = python3-dbus python3-gi python3-requests
PEERS_DIR = $${XDG_CACHE_HOME:-$$HOME/.cache}/dockerfw/peers
# A small Debian in which tests install the package: with the tools that it depends on, and for a test that
# starts its systemd, with an engine and nftables.
DEBIAN = iptables ipset man-db systemd-sysv docker.io docker-cli nftables iproute2
DEBIAN_DIR = $${XDG_CACHE_HOME:-$$HOME/.cache}/dockerfw/debian
# The tests in golden/lab and golden/e2e need root, a kernel and engines.
LAB_PACKAGES = ./golden/lab ./golden/e2e

# The packages that take longest begin, so that none of them is left for one core at the end.
UNIT_PACKAGES = ./golden ./cmd/dockerfw/driver ./cmd/dockerfw/plan ./cmd/dockerfw $$($(GO) list ./... | grep -v -e '/golden$$' -e '/cmd/dockerfw$$' \
	-e '/driver$$' -e '/plan$$' -e '/golden/lab$$' -e '/golden/e2e$$')
# Memory for time: with the 100 percent that is Go's default, unit tests spend a third of their time on
# garbage. dockerfw sets the same for itself (cmd/dockerfw/collector.go).
UNIT_TEST = GOGC=400 $(GO) test -vet=off

.PHONY: build release check test test-packages firewalls debian lint e2e-matrix golden fuzz soak bench peers performance

build:
	$(GO) build -o dockerfw ./cmd/dockerfw

# The files of a release from the commit that is checked out, in DIST: the same bytes wherever it is
# run, with the same Go. See docs/contributing/releases.md.
DIST ?= dist
release:
	$(GO) run ./cmd/release $(DIST)

# In under a minute, without root and, once the modules are there, without network. With
# -short, property tests try a fifth of their cases. lint has vetted all packages before.
check: lint
	@echo "left out: $(LAB_PACKAGES), and four fifths of the random cases, and a few slow tests; make test runs all"
	$(UNIT_TEST) -short $(UNIT_PACKAGES)

# Everything: style, unit tests, goldens, the compiled files in a real kernel on both
# backends, a real Docker engine. Without root the last two are skipped and reported.
# The packages that need a kernel run after the others, one at a time: the tests with engines
# measure time, and some take both cores. Six tests at a time: they wait more than they compute.
test: test-packages lint
	@failed=0; \
	$(UNIT_TEST) -count=1 -timeout 20m $(UNIT_PACKAGES) || failed=1; \
	$(GO) test -vet=off -count=1 -p 1 -parallel 6 -timeout 60m $(LAB_PACKAGES) || failed=1; \
	exit $$failed

# Installs missing packages as root on Debian; elsewhere the tests report what is missing.
test-packages:
	@if [ "$$(id -u)" != 0 ]; then \
		echo "not root: kernel and Docker tests will be skipped"; \
	elif ! command -v apt-get >/dev/null; then \
		echo "not Debian: kernel and Docker tests need $(TEST_PACKAGES)"; \
	elif ! dpkg -s $(TEST_PACKAGES) >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES) >/dev/null; \
	fi
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) -s firewalls debian; fi

# Downloads $(FIREWALLS) and what they need and this machine lacks, unless that was done for the same
# packages. /lib is a link to usr/lib on a merged system.
firewalls:
	@set -e; dir="$(FIREWALLS_DIR)"; \
	if [ "$$(cat "$$dir/packages" 2>/dev/null)" != "$(FIREWALLS)" ]; then \
		rm -rf "$$dir"; mkdir -p "$$dir/debs/partial" "$$dir/root"; \
		apt-get update -qq; \
		apt-get install -y -qq --download-only --reinstall --no-install-recommends -o APT::Sandbox::User=root \
			-o Dir::Cache::archives="$$dir/debs" $(FIREWALLS) >/dev/null; \
		for deb in "$$dir"/debs/*.deb; do dpkg-deb -x "$$deb" "$$dir/root"; done; \
		if [ -d "$$dir/root/lib" ]; then cp -a "$$dir/root/lib/." "$$dir/root/usr/lib"; fi; \
		echo "$(FIREWALLS)" > "$$dir/packages"; \
	fi

# Creates the root directory under another name, so that it is whole or missing, and again for other packages.
debian:
	@set -e; dir="$(DEBIAN_DIR)"; \
	if [ "$$(cat "$$dir/packages" 2>/dev/null)" != "$(DEBIAN)" ]; then \
		rm -rf "$$dir" "$$dir.unfinished"; mkdir -p "$$dir.unfinished"; \
		unshare --mount --pid --fork --kill-child --mount-proc \
			debootstrap --variant=minbase --include="$$(echo $(DEBIAN) | tr ' ' ,)" stable "$$dir.unfinished" >"$$dir.log" 2>&1 || \
			{ tail -20 "$$dir.log"; exit 1; }; \
		echo "$(DEBIAN)" > "$$dir.unfinished/packages"; \
		mv "$$dir.unfinished" "$$dir"; rm "$$dir.log"; \
	fi

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@unformatted=$$($(GO) tool gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "run: go tool gofumpt -w ." && echo "$$unformatted" && exit 1; fi

# Runs the Docker tests on the engines of Debian 12, 13 and the next release, with the
# iptables and ipset of each, and writes the results to docs/engines.md. Needs root. The
# first run creates the root directories of the releases in ~/.cache/dockerfw/engines
# (1.6 GB, a few minutes); remove one there to create it again. MATRIX_FLAGS: see -help.
e2e-matrix: test-packages
	$(GO) run ./golden/lab/cmd/enginematrix $(MATRIX_FLAGS) docs/engines.md

# Rewrites the golden files; read the diff before you commit it.
golden:
	$(GO) test ./golden -run 'TestExamplesCompile|TestBadPolicies|TestTheDocs|TestSessionsOfTheDocs' -update
	$(GO) test ./cmd/dockerfw -run TestScripts -update
	$(GO) test ./golden/lab/cmd/performance -update

fuzz:
	$(GO) test -fuzz=FuzzParseEntry -fuzztime=1m ./parser/addrlist
	$(GO) test -fuzz=FuzzRead -fuzztime=1m ./parser/addrlist
	$(GO) test -fuzz=FuzzParseRules -fuzztime=1m ./parser/iptables
	$(GO) test -fuzz=FuzzParseSets -fuzztime=1m ./parser/iptables
	$(GO) test -fuzz=FuzzNative -fuzztime=1m ./parser/budget
	$(GO) test -fuzz=FuzzJSON -fuzztime=1m ./parser/budget
	$(GO) test -fuzz=FuzzExplainSyntax -fuzztime=1m ./parser
	$(GO) test -fuzz=FuzzPieces -fuzztime=1m ./parser
	$(GO) test -fuzz=FuzzRead -fuzztime=1m ./parser/saved
	$(GO) test -fuzz=FuzzRead -fuzztime=1m ./cmd/dockerfw/handmade
	$(GO) test -fuzz=FuzzImport -fuzztime=1m ./cmd/dockerfw/imported
	$(GO) test -fuzz='FuzzParse$$' -fuzztime=1m ./parser/nft
	$(GO) test -fuzz=FuzzParseText -fuzztime=1m ./parser/nft
	$(GO) test -fuzz=FuzzTerminal -fuzztime=1m ./parser/escape
	$(GO) test -fuzz=FuzzMarkdown -fuzztime=1m ./parser/escape
	$(GO) test -fuzz=FuzzReportsAreInert -fuzztime=1m ./cmd/dockerfw/diff
	$(GO) test -fuzz=FuzzReportsAreInert -fuzztime=1m ./cmd/dockerfw/report
	$(GO) test -fuzz=FuzzParsePorts -fuzztime=1m ./cmd/dockerfw/published
	$(GO) test -fuzz=FuzzReadContainers -fuzztime=1m ./cmd/dockerfw/published
	$(GO) test -fuzz=FuzzIPSets -fuzztime=1m ./compiler/packet/netfilter
	$(GO) test -fuzz=FuzzPolicy -fuzztime=1m ./cmd/dockerfw/driver

# For an hour or two, as root: RELOADS reloads under load on each backend; SOAK random
# policies against the kernel; HOSTS random hosts with 200 packets each on each backend; and
# all cases of the tests of which make test runs a part, such as dockerfw apply killed at each
# call of each tool.
SOAK ?= 5000
RELOADS ?= 300
HOSTS ?= 500
RELOAD_TEST = TestReloadsInterruptNoConnectionAndAdmitNoOtherClient
POLICY_TESTS = TestRandomPoliciesAgreeWithTheKernel|TestExamplePacketsOfDiffAgreeWithTheKernel
HOST_TEST = TestExplainAgreesWithTheKernelOnRandomHosts
soak:
	DOCKERFW_SOAK=1 DOCKERFW_RELOADS=$(RELOADS) $(GO) test ./golden/e2e -count=1 -v -timeout 0 -run '$(RELOAD_TEST)'
	$(GO) test ./golden/e2e -count=1 -v -timeout 0 -rapid.checks=$(SOAK) -run '$(POLICY_TESTS)'
	DOCKERFW_SOAK=1 $(GO) test ./golden/e2e -count=1 -v -timeout 0 -rapid.checks=$(HOSTS) -run '$(HOST_TEST)'
	DOCKERFW_SOAK=1 $(GO) test ./golden/e2e -count=1 -v -timeout 0 -skip '$(RELOAD_TEST)|$(POLICY_TESTS)|$(HOST_TEST)'

# Without the largest sizes: see performance.
bench: peers
	$(GO) test -run='^$$' -bench=. -benchmem ./...

# Runs the benchmarks of whole processes up to their largest sizes, in half an hour with 8 GB of memory,
# and writes docs/performance.md and docs/performance.svg.
performance: peers
	@set -e; output="$$(mktemp)"; \
	DOCKERFW_GROWTH=1 $(GO) test -run='^$$' -bench='^Benchmark(Rules|Entries|Hosts)Process$$' -timeout 0 ./cmd/dockerfw | tee "$$output"; \
	$(GO) run ./golden/lab/cmd/performance "$$output" docs/performance.md; rm "$$output"

# Downloads $(PEERS) and what they need and this machine lacks, unless that was done. foomuuri is in Debian
# since release 13; in an older one that of the stable release runs too.
peers:
	@set -e; dir="$(PEERS_DIR)"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "not root on Debian: benchmarks compare with those of $(PEERS) that are installed"; exit; \
	fi; \
	if [ "$$(cat "$$dir/packages" 2>/dev/null)" != "$(PEERS)" ]; then \
		rm -rf "$$dir"; mkdir -p "$$dir/debs/partial" "$$dir/lists/partial" "$$dir/root"; \
		apt-get update -qq; packages="$(PEERS)"; \
		if ! apt-cache show foomuuri >/dev/null 2>&1; then \
			packages="$(filter-out foomuuri,$(PEERS))"; \
			mirror="$$(apt-get indextargets --format '$$(REPO_URI)' 'Created-By: Packages' | grep -v -e -security | head -n 1)"; \
			echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$mirror stable main" > "$$dir/stable.list"; \
			stable="-o Dir::Etc::SourceList=$$dir/stable.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$$dir/lists"; \
			stable="$$stable -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root"; \
			apt-get $$stable update -qq; (cd "$$dir/debs" && apt-get $$stable download -qq foomuuri >/dev/null); \
		fi; \
		apt-get install -y -qq --download-only --reinstall --no-install-recommends -o APT::Sandbox::User=root \
			-o Dir::Cache::archives="$$dir/debs" $$packages $(PEERS_NEED) >/dev/null; \
		for deb in "$$dir"/debs/*.deb; do dpkg-deb -x "$$deb" "$$dir/root"; done; \
		echo "$(PEERS)" > "$$dir/packages"; \
	fi
