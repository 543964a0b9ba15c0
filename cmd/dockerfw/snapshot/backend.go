package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Backend is one of the two kinds of iptables. They have separate tables in the kernel, and
// every packet traverses both.
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

// IPTables is the name of a family's tool without a backend.
func IPTables(f ir.Family) string {
	if f == ir.IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// chosen is the backend that a live host is read from.
type chosen struct {
	backend Backend
	// suffix follows the names of tools: "" for the default backend, "-nft" or "-legacy" for
	// the other.
	suffix string
	// note is why it is not the default one; "" if it is.
	note string
}

// chooseBackend returns the backend that has Docker's chains: Docker does not need to use the
// default one. If neither has them, because Docker has not run yet, it is the one in which
// dockerfw has added a jump to DOCKER-USER.
func chooseBackend(name string, t Tools, o LiveOptions) (chosen, error) {
	standard := defaultBackend(t)
	if o.Fixed {
		return choose(o.Backend, standard), nil
	}
	var dockers, users []Backend
	for _, b := range []Backend{NFT, Legacy} {
		// The legacy tool creates its tables if they do not exist.
		if b == Legacy && !slices.Contains(t.LegacyTables(ir.IPv4), "filter") {
			continue
		}
		// A backend that is not installed, or that this kernel does not support, has no rules.
		text, err := t.Output("iptables-"+string(b)+"-save", "-t", "filter")
		if err != nil {
			continue
		}
		docker, user := forwardJumps(text)
		if docker {
			dockers = append(dockers, b)
		}
		if user {
			users = append(users, b)
		}
	}
	found, what := dockers, "Docker's chains are"
	if len(found) == 0 {
		found, what = users, "FORWARD jumps to DOCKER-USER"
	}
	switch {
	case len(found) == 1 && (o.Backend == "" || o.Backend == found[0]):
	case len(dockers) == 1 && !o.Boot:
		return chosen{}, fmt.Errorf("%s in iptables-%s, not in iptables-%s: rules there would have no effect. Omit --backend", what, found[0], o.Backend)
	case o.Backend != "":
		return choose(o.Backend, standard), nil
	case len(found) != 1 && o.Last != "" && (o.Boot || len(dockers) == 0) && supports(t, o.Last):
		return choose(o.Last, standard), nil
	case len(dockers) > 1 && (o.Boot || o.Removing):
		return chosen{backend: standard}, nil
	case len(dockers) > 1 && o.Loading:
		return chosen{}, errors.New("FORWARD jumps to Docker's chains in both iptables-nft and iptables-legacy: one of them is left over. Flush the tables that Docker does not use, or select the backend that it uses with --backend")
	case len(dockers) > 1:
		return chosen{}, errors.New("FORWARD jumps to Docker's chains in both iptables-nft and iptables-legacy: one of them is left over from a change. Flush the one that Docker does not use, or save the other to files and give those instead of " + name)
	case len(found) != 1:
		return chosen{backend: standard}, nil
	}
	out := choose(found[0], standard)
	if found[0] != standard {
		out.note = fmt.Sprintf("iptables is iptables-%s on this host, and %s in iptables-%s: reading the latter", standard, what, found[0])
		if o.Loading {
			out.note = fmt.Sprintf("iptables is iptables-%s on this host, but Docker's rules are in iptables-%s: using iptables-%[2]s", standard, found[0])
		}
	}
	return out, nil
}

func choose(b, standard Backend) chosen {
	if b == standard {
		return chosen{backend: b}
	}
	return chosen{backend: b, suffix: "-" + string(b)}
}

// supports reports whether the tool of a backend works: a newer kernel may no longer support the
// one that was used last.
func supports(t Tools, b Backend) bool {
	_, err := t.Output("iptables-"+string(b)+"-save", "-t", "filter")
	return err == nil
}

func defaultBackend(t Tools) Backend {
	text, err := t.Output("iptables", "--version")
	if err == nil && bytes.Contains(text, []byte("nf_tables")) {
		return NFT
	}
	return Legacy
}

var forwardJump = regexp.MustCompile(`(?m)^-A FORWARD(?: .*)? -[jg] (DOCKER\S*)$`)

// forwardJumps reports whether FORWARD jumps to chains that only Docker makes, and whether it
// jumps to DOCKER-USER, which dockerfw does too.
func forwardJumps(saved []byte) (docker, user bool) {
	for _, m := range forwardJump.FindAllSubmatch(saved, -1) {
		switch to := string(m[1]); {
		case to == "DOCKER-USER":
			user = true
		case !identity.IsOwnChain(to):
			docker = true
		}
	}
	return docker, user
}

// Tool is the name of the iptables that changes what was read, for messages that propose a
// command.
func (h *Host) Tool(f ir.Family) string { return IPTables(f) + h.suffix }
