package iptables

import (
	"bufio"
	"io"
	"iter"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// SetOp is the kind of a command in an ipset file.
type SetOp string

// The commands of an ipset file.
const (
	SetCreate  SetOp = "create"
	SetAdd     SetOp = "add"
	SetDel     SetOp = "del"
	SetTest    SetOp = "test"
	SetDestroy SetOp = "destroy"
	SetFlush   SetOp = "flush"
	SetRename  SetOp = "rename"
	SetSwap    SetOp = "swap"
)

// SetsFile is a file for ipset restore.
type SetsFile struct {
	Name     string
	Commands []*SetCommand
}

// SetCommand is one line of the file, or consecutive adds or dels for one set, which
// ipset sends to the kernel together.
type SetCommand struct {
	Op      SetOp
	Set     string      // "" for destroy and flush of all sets
	Other   string      // the second set of swap, the new name of rename
	Type    string      // of create, such as "hash:net"
	Options []SetOption // of create, as written, without -exist
	Exist   bool        // -exist on the first line
	Range   hcl.Range   // of the first line

	// Entries of add and del; one for test. Those of a long run of adds with nothing but
	// addresses are only in AllEntries.
	Entries []Entry
	plain   *plainRun // instead of Entries
}

// AllEntries yields the entries of add, del and test.
func (c *SetCommand) AllEntries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := range c.Entries {
			if !yield(&c.Entries[i]) {
				return
			}
		}
		if c.plain == nil {
			return
		}
		c.plain.entries()(yield)
	}
}

// SetOption is an option of create or of an entry; Value is "" for a flag.
type SetOption struct {
	Name, Value string
}

// Entry is an entry of a set as it is in a file. A million of them must fit in memory, so
// that an address or network has no text.
type Entry struct {
	Prefix  netip.Prefix // of an address or network, host bits cleared; otherwise invalid
	Text    string       // of any other entry, as written: "10.0.0.1,tcp:80"
	Options []SetOption  // timeout, comment and others, without nomatch
	NoMatch bool
	Exist   bool // -exist on its line
	Line    int32
}

// String returns the entry without its options; a single address has no length.
func (e *Entry) String() string {
	switch {
	case !e.Prefix.IsValid():
		return e.Text
	case e.Prefix.IsSingleIP():
		return e.Prefix.Addr().String()
	}
	return e.Prefix.String()
}

// EntryRange returns the position of one of the command's entries.
func (c *SetCommand) EntryRange(e *Entry) hcl.Range {
	rng := c.Range
	if int(e.Line) != rng.Start.Line {
		pos := hcl.Pos{Line: int(e.Line), Column: 1}
		rng.Start, rng.End = pos, pos
		rng.End.Column += len(c.line(e))
	}
	return rng
}

// line returns the command as one line of a file; e is the entry of add, del and test.
func (c *SetCommand) line(e *Entry) string {
	words := []string{string(c.Op)}
	for _, name := range []string{c.Set, c.Other, c.Type} {
		if name != "" {
			words = append(words, quoteSet(name))
		}
	}
	options, exist := c.Options, c.Exist
	if e != nil {
		words = append(words, quoteSet(e.String()))
		options, exist = e.Options, e.Exist
	}
	for _, o := range options {
		words = append(words, o.Name)
		switch {
		case o.Name == "comment" && e != nil:
			words = append(words, `"`+o.Value+`"`)
		case o.Value != "":
			words = append(words, quoteSet(o.Value))
		}
	}
	if e != nil && e.NoMatch {
		words = append(words, "nomatch")
	}
	if exist {
		words = append(words, "-exist")
	}
	return strings.Join(words, " ")
}

// quoteSet quotes a word that contains spaces or looks like an option. ipset has no way
// to write a quote inside a word.
func quoteSet(s string) string {
	if strings.ContainsAny(s, " \t\r\v\f") || strings.HasPrefix(s, "-") {
		return `"` + s + `"`
	}
	return s
}

// Print writes the file with one command on each line.
func (f *SetsFile) Print(w io.Writer) error {
	buf := bufio.NewWriter(w)
	for _, c := range f.Commands {
		if len(c.Entries) == 0 && c.plain == nil {
			buf.WriteString(c.line(nil))
			buf.WriteByte('\n')
		}
		for e := range c.AllEntries() {
			buf.WriteString(c.line(e))
			buf.WriteByte('\n')
		}
	}
	return buf.Flush()
}
