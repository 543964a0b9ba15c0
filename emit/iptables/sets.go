package iptables

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// temporarySuffix names the set that is filled beside the one in use.
const temporarySuffix = "-new"

// Sets returns the input of ipset restore that makes the sets hold exactly their
// elements. ipset restore is no transaction, so the order of the lines is what
// keeps packets from meeting a half-filled set: all sets exist first, then all
// temporary sets are filled, and only when nothing can fail for want of memory
// or a bad element any more are they swapped in, one atomic step each.
//
// -exist holds for all later lines of a run once one line has it
// (docs/contributing/netfilter.md, "-exist"), so that no line relies on failing without it.
func Sets(sets []*Set, header string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", header)
	for _, s := range sets {
		fmt.Fprintf(&b, "create %s %s -exist\n", s.Name, setHeader(s))
	}
	for _, s := range sets {
		if !s.Managed {
			continue
		}
		temporary := s.Name + temporarySuffix
		fmt.Fprintf(&b, "destroy %s -exist\n", temporary)
		fmt.Fprintf(&b, "create %s %s\n", temporary, setHeader(s))
		for _, p := range s.Prefixes {
			b.WriteString("add ")
			b.WriteString(temporary)
			b.WriteByte(' ')
			b.Write(appendElement(b.AvailableBuffer(), p))
			b.WriteByte('\n')
		}
		for _, m := range s.Members {
			fmt.Fprintf(&b, "add %s %s\n", temporary, m)
		}
	}
	for _, s := range sets {
		if s.Managed {
			fmt.Fprintf(&b, "swap %s%s %s\n", s.Name, temporarySuffix, s.Name)
		}
	}
	// Lists go before their members: a member in use cannot be destroyed.
	for i := len(sets) - 1; i >= 0; i-- {
		if sets[i].Managed {
			fmt.Fprintf(&b, "destroy %s%s\n", sets[i].Name, temporarySuffix)
		}
	}
	return b.Bytes()
}

// RemoveSets returns the input of ipset restore that destroys the sets of ours.
// It fails, and changes nothing of others, while a rule still uses one.
func RemoveSets(sets []*Set, header string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", header)
	for i := len(sets) - 1; i >= 0; i-- {
		if sets[i].Managed {
			fmt.Fprintf(&b, "destroy %s -exist\n", sets[i].Name)
		}
	}
	return b.Bytes()
}

// setHeader writes type and options in the order of ipset save, without
// bucketsize and initval, which the kernel chooses.
func setHeader(s *Set) string {
	words := []string{string(s.Type)}
	if s.Type == ir.ListSet {
		words = append(words, fmt.Sprintf("size %d", s.MaxElem))
	} else {
		family := "inet"
		if s.Family == ir.IPv6 {
			family = "inet6"
		}
		words = append(words, "family "+family)
		if s.HashSize != 0 {
			words = append(words, fmt.Sprintf("hashsize %d", s.HashSize))
		}
		words = append(words, fmt.Sprintf("maxelem %d", s.MaxElem))
	}
	if s.HasTimeout {
		words = append(words, fmt.Sprintf("timeout %d", s.Timeout))
	}
	if s.Counters {
		words = append(words, "counters")
	}
	if s.Comment {
		words = append(words, "comment")
	}
	return strings.Join(words, " ")
}

// appendElement writes a prefix as ipset save does: hosts without their length.
func appendElement(b []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(b)
	}
	return p.AppendTo(b)
}
