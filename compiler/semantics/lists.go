package semantics

import (
	"strconv"
	"strings"
	"sync"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
)

// Lists are the address-list files of a policy, which have been read. It is safe for
// concurrent use; nil has no files.
type Lists struct {
	read func(file string) addrlist.Ranges
	like func(file string) addrlist.Ranges
	mu   sync.Mutex
	sets map[string]*packet.AddrSet
}

// NewLists returns the lists whose ranges read returns. It does not change the ranges. Those that
// like returns are expected to have the same addresses, merged: a set that has these shares their
// memory.
func NewLists(read, like func(file string) addrlist.Ranges) *Lists {
	return &Lists{read: read, like: like, sets: map[string]*packet.AddrSet{}}
}

// Addresses returns the addresses of literal entries and list files. Equal entries and files
// give the same set, so that a list is evaluated once for all hosts.
func (l *Lists) Addresses(entries []parser.At[netipx.IPRange], files []parser.At[string]) *packet.AddrSet {
	if l == nil || len(files) == 0 {
		var b packet.AddrSetBuilder
		for _, e := range entries {
			b.AddRange(e.Value.From(), e.Value.To())
		}
		return b.Set("")
	}
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(e.Value.String() + " ")
	}
	for _, f := range files {
		text.WriteString(strconv.Quote(f.Value) + " ")
	}
	key := text.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	if set := l.sets[key]; set != nil {
		return set
	}
	if len(entries) == 0 && len(files) == 1 {
		l.sets[key] = packet.NewRangeSet("", l.read(files[0].Value), l.like(files[0].Value))
		return l.sets[key]
	}
	var b packet.AddrSetBuilder
	for _, e := range entries {
		b.AddRange(e.Value.From(), e.Value.To())
	}
	for _, f := range files {
		for first, last := range l.read(f.Value).All() {
			b.AddRange(first, last)
		}
	}
	l.sets[key] = b.Set("")
	return l.sets[key]
}

// in returns the condition that one end of a packet of a family has one of the addresses.
// Those of the other family are left out, so that the set equals the one that the host loads.
func (l *Lists) in(end packet.End, f ir.Family, entries []parser.At[netipx.IPRange], files []parser.At[string]) packet.Cond {
	all := l.Addresses(entries, files)
	return packet.Addr{End: end, In: all.OfFamily(f)}
}
