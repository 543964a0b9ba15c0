package compiler

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Lists reads the address-list files of a policy, each once for all hosts. It is safe for
// concurrent use.
type Lists struct {
	files Files
	mu    sync.Mutex
	read  map[string]*list
	sets  map[string]setElements
	// merged are the elements of sets with nothing but one list, by its name.
	merged map[string]addrlist.Ranges
}

// setElements are the elements of a set in one family, and the number of its entries.
type setElements struct {
	prefixes ir.Prefixes
	entries  int
}

// Files opens files by their names in policies. Display returns a name for messages.
type Files interface {
	Open(name string) (fs.File, error)
	Display(name string) string
}

// firstEntries is the number of entries of a list from which the number of all is estimated.
const firstEntries = 4096

type list struct {
	once   sync.Once
	ranges addrlist.Ranges
	diags  hcl.Diagnostics
	err    error
}

// NewLists returns a reader of the lists that files opens.
func NewLists(files Files) *Lists {
	return &Lists{files: files, read: map[string]*list{}, sets: map[string]setElements{}, merged: map[string]addrlist.Ranges{}}
}

// ranges returns the ranges of a list, sorted by their first addresses, diagnostics of its
// lines, and the error if it could not be opened. The ranges are shared: do not change them.
func (l *Lists) ranges(name string) (addrlist.Ranges, hcl.Diagnostics, error) {
	l.mu.Lock()
	entry := l.read[name]
	if entry == nil {
		entry = &list{}
		l.read[name] = entry
	}
	l.mu.Unlock()
	entry.once.Do(func() {
		f, err := l.files.Open(name)
		if err != nil {
			entry.err = err
			return
		}
		defer f.Close()
		size := int64(0)
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		shown, tooMany := l.files.Display(name), (*hcl.Diagnostic)(nil)
		entry.diags = addrlist.Read(f, shown, name, func(r netipx.IPRange, at hcl.Range) {
			switch {
			case entry.ranges.Len() < budget.MaxEntries:
				entry.ranges.Add(r)
				if n := entry.ranges.Len(); n == firstEntries && at.End.Byte > 0 {
					// Growing would copy millions several times. The others are about as long as the first ones.
					entry.ranges.Grow(int(min(budget.MaxEntries, int64(n)*size/int64(at.End.Byte)*33/32)))
				}
			case tooMany == nil:
				at.Filename = shown
				tooMany = diag.New(diag.CodeBudget, at, "too many entries", fmt.Sprintf("This is entry %d; the maximum of a list is %d. Combine neighbouring addresses into networks.", budget.MaxEntries+1, budget.MaxEntries))
			}
		})
		if tooMany != nil {
			entry.diags = append(entry.diags, tooMany)
		}
		entry.ranges.Sort()
	})
	return entry.ranges, entry.diags, entry.err
}

// elementsOf returns the elements of a set in one family, and how many entries it has. It
// calls compute only once for all hosts whose set has the same entries and files. An error
// is not kept: it is reported for each host.
func (l *Lists) elementsOf(s *parser.Set, f ir.Family, compute func() (setElements, bool)) setElements {
	if len(s.Files) == 0 {
		out, _ := compute() // costs less than a key with all entries
		return out
	}
	var key strings.Builder
	maxElem := 0
	if s.MaxElem != nil {
		maxElem = s.MaxElem.Value
	}
	key.WriteString(fmt.Sprintf("%s %s %t %t %d %d %q %d %q\n", f, s.Type, s.Aggregate, s.MinEntries != nil, maxElem, len(s.Files), parser.Values(s.Files), len(s.ExcludeFiles), parser.Values(s.ExcludeFiles)))
	for _, list := range [][]parser.At[netipx.IPRange]{s.Entries, s.Exclude} {
		key.WriteString(strconv.Itoa(len(list)))
		for _, e := range list {
			key.WriteByte(' ')
			key.WriteString(e.Value.String())
		}
	}
	l.mu.Lock()
	out, ok := l.sets[key.String()]
	l.mu.Unlock()
	if ok {
		return out
	}
	out, ok = compute()
	if ok {
		l.mu.Lock()
		l.sets[key.String()] = out
		if len(s.Files) == 1 && len(s.Entries)+len(s.Exclude)+len(s.ExcludeFiles) == 0 {
			merged := l.merged[s.Files[0].Value]
			if in := out.prefixes.Ranges(); f == ir.IPv4 {
				merged.V4 = in.V4
			} else {
				merged.V6 = in.V6
			}
			l.merged[s.Files[0].Value] = merged
		}
		l.mu.Unlock()
	}
	return out
}

// Ranges returns the ranges of a list, or none if the list could not be read. They are
// shared: do not change them.
func (l *Lists) Ranges(name string) addrlist.Ranges {
	ranges, _, _ := l.ranges(name)
	return ranges
}

// Merged returns the ranges of a list without overlaps, as far as they are those of a set with
// nothing but the list. They are shared: do not change them.
func (l *Lists) Merged(name string) addrlist.Ranges {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.merged[name]
}
