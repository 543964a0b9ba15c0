package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// temporarySuffix is appended to the name of the set that is filled and then swapped in.
const temporarySuffix = "-new"

// Sets returns the input of ipset restore that gives the sets exactly their elements.
// ipset restore is not a transaction, so the order of the lines ensures that no packet is
// matched against a partly filled set: first all sets are created, then all temporary sets
// are filled, which can fail for lack of memory or because of a bad element, and only then
// is each swapped in, atomically.
//
// Once one line has -exist, it applies to all later lines of the same run
// (docs/contributing/netfilter.md, "-exist"): no line relies on failing without it.
func Sets(sets []*Set, header string) []byte { return SetsWith(nil, sets, header) }

// SetsWith is Sets with lines that were printed before; known may be nil.
func SetsWith(known *Elements, sets []*Set, header string) []byte {
	var out bytes.Buffer
	size := 0
	for _, s := range sets {
		size += linesSize(len(s.Name)+len("add "+temporarySuffix+" "), s)
	}
	out.Grow(size)
	_ = PrintSets(&out, known, sets, header) // a buffer has no errors
	return out.Bytes()
}

// PrintSets prints what SetsWith returns: the text of millions of elements is never in memory as
// a whole.
func PrintSets(w io.Writer, known *Elements, sets []*Set, header string) error {
	b := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(b, "# %s\n", header)
	for _, s := range sets {
		fmt.Fprintf(b, "create %s %s -exist\n", s.Name, setHeader(s))
	}
	for _, s := range sets {
		if !s.Managed {
			continue
		}
		temporary := s.Name + temporarySuffix
		fmt.Fprintf(b, "destroy %s -exist\n", temporary)
		fmt.Fprintf(b, "create %s %s\n", temporary, setHeader(s))
		if s.Rules != nil {
			writeMerged(b, temporary, s)
		} else {
			known.write(b, "add "+temporary+" ", s)
		}
		for _, m := range s.Members {
			fmt.Fprintf(b, "add %s %s\n", temporary, m)
		}
	}
	for _, s := range sets {
		if s.Managed {
			fmt.Fprintf(b, "swap %s%s %s\n", s.Name, temporarySuffix, s.Name)
		}
	}
	// Lists before their members: a set that a list refers to cannot be destroyed.
	for i := len(sets) - 1; i >= 0; i-- {
		if sets[i].Managed {
			fmt.Fprintf(b, "destroy %s%s\n", sets[i].Name, temporarySuffix)
		}
	}
	return b.Flush()
}

// RemoveSets returns the input of ipset restore that destroys the managed sets. It fails
// while a rule still uses one of them, and never changes an unmanaged set.
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

// setHeader returns type and options in the order of ipset save, without bucketsize and
// initval, which the kernel chooses.
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

// Elements are the lines of large sets that were printed before, which the hosts of a fleet
// share. The zero value is ready to use, and safe for concurrent use; nil keeps nothing.
type Elements struct {
	mu    sync.Mutex
	lines map[elementsKey][]byte
	size  int // of all lines, in bytes
}

// elementsKey identifies the lines of a set: what precedes the elements, and the elements by
// where they are in memory. Prefixes are not changed once they are in a set.
type elementsKey struct {
	before   string
	elements ir.Same
}

// sharedElements is the number of elements from which on the lines of a set are kept.
const sharedElements = 1024

// maxElements is the size in bytes of the lines that are kept: the sets of a host that no other
// host has must not stay in memory. A set with more than a quarter of it is printed each time.
const maxElements = 64 << 20

// write writes the lines of elements.
func (e *Elements) write(b *bufio.Writer, before string, s *Set) {
	prefixes := s.Prefixes
	if e == nil || prefixes.Len() < sharedElements || linesSize(len(before), s) > maxElements/4 {
		writeElements(b, before, prefixes)
		return
	}
	key := elementsKey{before, prefixes.Same()}
	e.mu.Lock()
	lines, ok := e.lines[key]
	e.mu.Unlock()
	if !ok {
		var own bytes.Buffer
		own.Grow(linesSize(len(before), s))
		buffered := bufio.NewWriterSize(&own, 64<<10)
		writeElements(buffered, before, prefixes)
		_ = buffered.Flush() // a buffer has no errors
		lines = own.Bytes()
		e.mu.Lock()
		if e.size += len(lines); e.lines == nil || e.size > maxElements {
			e.lines, e.size = map[elementsKey][]byte{}, len(lines)
		}
		e.lines[key] = lines
		e.mu.Unlock()
	}
	b.Write(lines)
}

// linesSize returns the room that the lines of a set's elements take at most, with so many bytes before
// each element and without embedded IPv4 addresses.
func linesSize(before int, s *Set) int {
	longest := 19
	if s.Family == ir.IPv6 {
		longest = 44
	}
	return s.Prefixes.Len() * (before + longest)
}

// writeElements writes a line for each prefix, as ipset save prints it: a single address has
// no length.
func writeElements(b *bufio.Writer, before string, prefixes ir.Prefixes) {
	for p := range prefixes.All4() {
		line := append(b.AvailableBuffer(), before...)
		line = appendByte(line, p.Address>>24)
		line = appendByte(append(line, '.'), p.Address>>16&255)
		line = appendByte(append(line, '.'), p.Address>>8&255)
		line = appendByte(append(line, '.'), p.Address&255)
		if p.Bits < 32 {
			line = appendByte(append(line, '/'), uint32(p.Bits))
		}
		b.Write(append(line, '\n'))
	}
	for p := range prefixes.All6() {
		line := append(b.AvailableBuffer(), before...)
		line = p.Prefix().Addr().AppendTo(line)
		if p.Bits < 128 {
			line = appendByte(append(line, '/'), uint32(p.Bits))
		}
		b.Write(append(line, '\n'))
	}
}

// writeMerged writes a line for each entry of the set of merged rules, with the name of its rule as
// ipset save prints a comment.
func writeMerged(b *bufio.Writer, name string, s *Set) {
	i := 0
	for p := range s.Prefixes.All() {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		fmt.Fprintf(b, "add %s %s comment \"%s\"\n", name, text, s.Rules[i].Name)
		i++
	}
}

// appendByte appends a number below 256 in decimal.
func appendByte(b []byte, n uint32) []byte {
	switch {
	case n >= 100:
		return append(b, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	case n >= 10:
		return append(b, byte('0'+n/10), byte('0'+n%10))
	}
	return append(b, byte('0'+n))
}
