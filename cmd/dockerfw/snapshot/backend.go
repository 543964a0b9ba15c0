package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Backend is one of the two kinds of iptables. They fill different tables of the
// kernel, and a packet has to pass both.
type Backend string

// The backends.
const (
	NFT    Backend = "nft"
	Legacy Backend = "legacy"
)

// Other is the other backend.
func (b Backend) Other() Backend {
	if b == NFT {
		return Legacy
	}
	return NFT
}

// IPTables is the name of a family's tool, without a backend.
func IPTables(f ir.Family) string {
	if f == ir.IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// legacyTables lists the tables of the legacy backend that are there.
var legacyTables = "/proc/net/ip_tables_names"

// chosen is the backend whose tables a live host is read from.
type chosen struct {
	backend Backend
	// suffix goes between a tool's name and "-save": "" for the tools that have the
	// plain names, "-nft" or "-legacy" for the others.
	suffix string
	// note says why it is not the one that iptables stands for; "" if it is.
	note string
}

// chooseBackend finds the tables in which Docker's chains are, as apply.sh does: what
// the plain names stand for need not be what Docker uses. Where neither kind has them,
// Docker has not run yet, and the one in which apply.sh has made a way to DOCKER-USER counts.
func chooseBackend() (chosen, error) {
	standard := defaultBackend()
	var dockers, users []Backend
	for _, b := range []Backend{NFT, Legacy} {
		// Asking the legacy tool makes its tables, where they are not there yet.
		if b == Legacy && !hasLegacyFilter() {
			continue
		}
		// A kind that is not installed, or that this kernel does not have, holds nothing.
		text, err := Output("iptables-"+string(b)+"-save", "-t", "filter")
		if err != nil {
			continue
		}
		docker, user := forwardLeads(text)
		if docker {
			dockers = append(dockers, b)
		}
		if user {
			users = append(users, b)
		}
	}
	found, what := dockers, "Docker's chains are"
	if len(found) == 0 {
		found, what = users, "FORWARD leads to DOCKER-USER"
	}
	switch {
	case len(dockers) > 1:
		return chosen{}, errors.New("FORWARD leads to Docker's chains in both iptables-nft and iptables-legacy: one of them is left from before a change. Flush the one that Docker does not use, or save the one that it uses to files and name those instead of " + LiveName)
	case len(found) != 1 || found[0] == standard:
		return chosen{backend: standard}, nil
	}
	b := found[0]
	return chosen{b, "-" + string(b), fmt.Sprintf("iptables is iptables-%s on this host, and %s in iptables-%s: reading that", standard, what, b)}, nil
}

func defaultBackend() Backend {
	text, err := Output("iptables", "--version")
	if err == nil && bytes.Contains(text, []byte("nf_tables")) {
		return NFT
	}
	return Legacy
}

func hasLegacyFilter() bool {
	names, err := os.ReadFile(legacyTables)
	return err == nil && slices.Contains(strings.Fields(string(names)), "filter")
}

var forwardJump = regexp.MustCompile(`(?m)^-A FORWARD(?: .*)? -[jg] (DOCKER\S*)$`)

// forwardLeads tells whether FORWARD leads to chains that only Docker makes, and whether
// to DOCKER-USER, to which apply.sh makes a way as well.
func forwardLeads(saved []byte) (docker, user bool) {
	for _, m := range forwardJump.FindAllSubmatch(saved, -1) {
		switch to := string(m[1]); {
		case to == "DOCKER-USER":
			user = true
		case !ownChain(to):
			docker = true
		}
	}
	return docker, user
}

// Tool is the name of the iptables that changes what the state was read from, for
// messages that say what to run.
func (s *State) Tool(f ir.Family) string { return IPTables(f) + s.suffix }
