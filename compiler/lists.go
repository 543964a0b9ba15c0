package compiler

import (
	"fmt"
	"io/fs"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

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
}

// Files opens files by their names in policies. Display returns a name for messages.
type Files interface {
	Open(name string) (fs.File, error)
	Display(name string) string
}

type list struct {
	once   sync.Once
	ranges []netipx.IPRange
	diags  hcl.Diagnostics
	err    error
}

// NewLists returns a reader of the lists that files opens.
func NewLists(files Files) *Lists {
	return &Lists{files: files, read: map[string]*list{}}
}

// ranges returns the ranges of a list, diagnostics of its lines, and the error if it could
// not be opened.
func (l *Lists) ranges(name string) ([]netipx.IPRange, hcl.Diagnostics, error) {
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
		shown, tooMany := l.files.Display(name), (*hcl.Diagnostic)(nil)
		entry.diags = addrlist.Read(f, shown, name, func(r netipx.IPRange, at hcl.Range) {
			switch {
			case len(entry.ranges) < budget.MaxEntries:
				entry.ranges = append(entry.ranges, r)
			case tooMany == nil:
				at.Filename = shown
				tooMany = diag.New(diag.CodeBudget, at, "too many entries", fmt.Sprintf("This is entry %d; the maximum of a list is %d. Combine neighbouring addresses into networks.", budget.MaxEntries+1, budget.MaxEntries))
			}
		})
		if tooMany != nil {
			entry.diags = append(entry.diags, tooMany)
		}
	})
	return entry.ranges, entry.diags, entry.err
}

// Ranges returns the ranges of a list, or nil if the list could not be read.
func (l *Lists) Ranges(name string) []netipx.IPRange {
	ranges, _, _ := l.ranges(name)
	return ranges
}
