package snapshot

import (
	"runtime"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Side is what a name refers to, like a [Fleet], but the hosts of a policy or a folder are read when it is
// their turn: those of a large fleet do not fit into memory.
type Side struct {
	// Name is the name that the user gave.
	Name string
	Kind Kind
	// Labels are those of the hosts, in their order.
	Labels []string
	// Sources are the bytes of a policy's files, to print diagnostics with.
	Sources map[string][]byte
	// Note is what a user should know about how it was read, in lines; "" for nothing.
	Note string

	open  func(i int) (Unread, error)
	close func()
	// only is the only host of a side, which is read once: what it is compared with may need it first.
	only struct {
		open, read sync.Once
		unread     Unread
		host       *Host
		diags      hcl.Diagnostics
		err        error
	}
}

// Key is the same for hosts of a side that are equal but for their labels; zero for nothing known.
type Key = driver.Key

// Unread is a host that is not read yet.
type Unread struct {
	Key Key
	// Declared is the host block of a policy.
	Declared hcl.Range
	// Read reads the host. Diagnostics are about its text; an error is any other reason.
	Read func() (*Host, hcl.Diagnostics, error)

	unproved *driver.Unproved // nil for a host that is not compiled from a policy
}

// ProveBoth proves two hosts that may not be read yet, if both are compiled from policies: together they take less time than
// each when it is read.
func ProveBoth(a, b Unread) {
	if a.unproved != nil && b.unproved != nil {
		driver.ProveBoth(*a.unproved, *b.unproved)
	}
}

// OpenSide is Open for hosts that are read later. The side of a policy has no hosts if there are errors. The
// caller closes it.
func OpenSide(name string, opts driver.Options) (*Side, hcl.Diagnostics, error) {
	if opts.Tree == nil {
		opts.Tree = files.Disk
	}
	if name != LiveName && !IsRemote(name) {
		kind, err := kindOf(opts.Tree, name)
		switch {
		case err != nil:
			return nil, nil, err
		case kind == Policy:
			side, diags := openPolicy(name, opts)
			return side, diags, nil
		case kind == Folder:
			side, err := openFolders(opts.Tree, name, opts.Hosts)
			return side, nil, err
		}
	}
	fleet, diags, err := Open(name, opts)
	if fleet == nil {
		return nil, diags, err
	}
	return fleet.Side(), diags, err
}

// openPolicy compiles a policy.
func openPolicy(name string, opts driver.Options) (*Side, hcl.Diagnostics) {
	pending, sources, diags := driver.Begin(name, opts)
	side := &Side{Name: name, Kind: Policy, Sources: sources}
	if pending == nil {
		return side, diags
	}
	side.Labels, side.close = pending.Labels, pending.Close
	side.open = func(i int) (Unread, error) {
		unproved, err := pending.Host(i)
		return Unread{unproved.Key(), unproved.Declared(), func() (*Host, hcl.Diagnostics, error) {
			compiled, diags := unproved.Prove()
			if diags.HasErrors() {
				return nil, diags, nil
			}
			h, diags := ofCompiled(name, compiled, sources, opts.Lines)
			return h, diags, nil
		}, &unproved}, err
	}
	return side, diags
}

// Side is the fleet as a side of a comparison.
func (f *Fleet) Side() *Side {
	out := &Side{Name: f.Name, Kind: f.Kind, Sources: f.Sources, Note: f.Note}
	for _, h := range f.Hosts {
		out.Labels = append(out.Labels, h.Label)
	}
	out.open = func(i int) (Unread, error) {
		return Unread{Read: func() (*Host, hcl.Diagnostics, error) { return f.Hosts[i], nil, nil }}, nil
	}
	return out
}

// Open opens a host, by its index in Labels. Several may be opened at a time, each once.
func (s *Side) Open(i int) (Unread, error) {
	if len(s.Labels) > 1 {
		return s.open(i)
	}
	only := &s.only
	only.open.Do(func() {
		only.unread, only.err = s.open(i)
		read := only.unread.Read
		only.unread.Read = func() (*Host, hcl.Diagnostics, error) {
			only.read.Do(func() {
				only.host, only.diags, only.err = read()
				read, only.unread.unproved = nil, nil // and the files that they hold
			})
			return only.host, only.diags, only.err
		}
	})
	return only.unread, only.err
}

// Read reads a host, by its index in Labels.
func (s *Side) Read(i int) (*Host, hcl.Diagnostics, error) {
	unread, err := s.Open(i)
	if err != nil {
		return nil, nil, err
	}
	return unread.Read()
}

// Close ends the reading of hosts.
func (s *Side) Close() {
	if s.close != nil {
		s.close()
	}
}

// LabelList lists the labels of the hosts, the first ones of many.
func (s *Side) LabelList() string { return words.List(s.Labels, shownLabels) }

// all reads all hosts, and closes the side.
func (s *Side) all() (*Fleet, hcl.Diagnostics, error) {
	defer s.Close()
	out := &Fleet{Name: s.Name, Kind: s.Kind, Hosts: make([]*Host, len(s.Labels)), Sources: s.Sources, Note: s.Note}
	perHost := make([]hcl.Diagnostics, len(s.Labels))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range s.Labels {
		group.Go(func() (err error) {
			out.Hosts[i], perHost[i], err = s.Read(i)
			return err
		})
	}
	err := group.Wait()
	var diags hcl.Diagnostics
	for _, more := range perHost {
		diags = append(diags, more...)
	}
	if err != nil {
		return nil, diags, err
	}
	return out, diags, nil
}
