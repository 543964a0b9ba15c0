package netfilter

import (
	"sync"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// NFTSets are the sets of a table of nft as conditions on packets. Programs of the table share
// their addresses. It is safe for concurrent use.
type NFTSets struct {
	table *nft.Table
	// hidden reports that the elements of a set are not known.
	hidden func(name string) bool
	// limit returns the condition of a limit; nil for one that its text names.
	limit func(r *nft.Rule, l NFTLimit) packet.Cond
	cache *nftSetCache
}

// nftSetCache has the addresses of sets, each converted once; nil for a set with other elements.
type nftSetCache struct {
	mu    sync.Mutex
	addrs map[string]*packet.AddrSet
}

// NewNFTSets returns the sets of a table.
func NewNFTSets(t *nft.Table) *NFTSets {
	return &NFTSets{table: t, hidden: func(string) bool { return false }, cache: &nftSetCache{addrs: map[string]*packet.AddrSet{}}}
}

// Hiding returns the sets, of which the elements of those for which hidden reports true are not
// known. It shares the addresses of the others with s.
func (s *NFTSets) Hiding(hidden func(name string) bool) *NFTSets {
	return &NFTSets{table: s.table, hidden: hidden, limit: s.limit, cache: s.cache}
}

// WithLimits returns the sets; in programs of the table the conditions of the limits of a rule are
// those that limit returns, unless it returns nil.
func (s *NFTSets) WithLimits(limit func(r *nft.Rule, l NFTLimit) packet.Cond) *NFTSets {
	return &NFTSets{table: s.table, hidden: s.hidden, limit: limit, cache: s.cache}
}

// Addresses returns, by name, the sets that have nothing but addresses, which packets, timeouts and
// other programs do not change.
func (s *NFTSets) Addresses() map[string]*packet.AddrSet {
	out := map[string]*packet.AddrSet{}
	for name := range s.table.Sets {
		if a := s.addresses(name); a != nil {
			out[name] = a
		}
	}
	return out
}

// Program returns the program of a base chain of the table, for packets of a family; see
// [NFTProgram].
func (s *NFTSets) Program(start *nft.Chain, f ir.Family) *packet.Program {
	return nftProgram(s, start, f)
}

// unknown reports whether the elements of a set are not known, although packets do not change
// it: those that another program adds, and those that expire.
func (s *NFTSets) unknown(set *nft.Set) bool {
	return s.hidden(set.Name) || set.Changes && !set.Dynamic()
}

// addresses returns the addresses of a set; nil if it is not a set of addresses that are known.
func (s *NFTSets) addresses(name string) *packet.AddrSet {
	set := s.table.Sets[name]
	if set == nil || set.Map || set.Changes || s.hidden(name) {
		return nil
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	if a, ok := s.cache.addrs[name]; ok {
		return a
	}
	a := addressesOf(set)
	s.cache.addrs[name] = a
	return a
}

func addressesOf(set *nft.Set) *packet.AddrSet {
	if set.Type != "ipv4_addr" && set.Type != "ipv6_addr" {
		return nil
	}
	var b packet.AddrSetBuilder
	b.Grow(len(set.Addresses.V4), len(set.Addresses.V6))
	for first, last := range set.Addresses.All() {
		b.AddRange(first, last)
	}
	for _, e := range set.Elem {
		first, last, ok := addressBounds(unwrap(e))
		if !ok {
			return nil
		}
		b.AddRange(first, last)
	}
	return b.Set(set.Name)
}
