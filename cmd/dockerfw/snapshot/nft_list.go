package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// largeSets are the sets of compiled hosts, which may be nil, that are not listed on the host that has
// them: by name.
func largeSets(compiled []*Host) map[string]*nft.Set {
	out := map[string]*nft.Set{}
	for _, h := range compiled {
		if h == nil || h.Table() == nil {
			continue
		}
		for name, s := range h.Table().Sets {
			if identity.NamedByContent(name) && s.Addresses.Len() > plan.LargeSet {
				out[name] = s
			}
		}
	}
	return out
}

// HasOtherElements reports whether h is known to have a set of the table of dockerfw with other elements than
// another table of nft has it. h may be nil.
func (h *Host) HasOtherElements(s *plan.Object) bool {
	if h == nil || h.Table() == nil || h.NotListed[s.Name] {
		return false
	}
	have := h.Table().Sets[s.Name]
	if have == nil {
		return false
	}
	read, diags := nft.ParseText((&plan.Table{Objects: []*plan.Object{s}}).Text(), s.Name)
	if diags.HasErrors() {
		return true
	}
	want := read.Tables[0].Sets[s.Name]
	return len(have.Elem) > 0 || !slices.Equal(have.Addresses.V4, want.Addresses.V4) || !slices.Equal(have.Addresses.V6, want.Addresses.V6)
}

// assume gives the table the elements of sets that were not listed.
func (h *Host) assume(large map[string]*nft.Set) {
	t := h.Table()
	if t == nil {
		return
	}
	for name, compiled := range large {
		s := t.Sets[name]
		if s == nil {
			continue
		}
		s.Addresses = compiled.Addresses
		if h.NotListed == nil {
			h.NotListed = map[string]bool{}
		}
		h.NotListed[name] = true
	}
}

// listing is the output of nft -j: objects, each with its kind.
type listing struct {
	Objects []map[string]json.RawMessage `json:"nftables"`
}

// listed is a set or map in a listing.
type listed struct{ Family, Table, Name string }

// setOf returns the set or map that an object is.
func setOf(object map[string]json.RawMessage) (kind string, s listed, ok bool) {
	for _, kind := range []string{"set", "map"} {
		if raw, found := object[kind]; found && json.Unmarshal(raw, &s) == nil {
			return kind, s, true
		}
	}
	return "", s, false
}

// listNFT lists all tables as JSON. Where the table of dockerfw has large sets, it lists the rest of it
// first, and then all other sets.
func (h *Host) listNFT(large map[string]*nft.Set) ([]byte, error) {
	if len(large) == 0 {
		return h.ToolOutput("nft", "-j", "list", "ruleset")
	}
	var all listing
	if err := h.list(&all, "-t", "list", "ruleset"); err != nil {
		return nil, err
	}
	tables := map[listed]*listing{}
	for i, object := range all.Objects {
		kind, s, ok := setOf(object)
		own := s.Family == ir.NFTFamily && s.Table == ir.NFTTable
		switch {
		case !ok || own && large[s.Name] != nil:
			continue
		case own:
			var one listing
			if err := h.list(&one, "list", kind, s.Family, s.Table, s.Name); err != nil {
				return nil, err
			}
			one.replace(all.Objects[i], kind, s)
			continue
		}
		of := listed{Family: s.Family, Table: s.Table}
		if tables[of] == nil {
			tables[of] = &listing{}
			if err := h.list(tables[of], "list", "table", s.Family, s.Table); err != nil {
				return nil, err
			}
		}
		tables[of].replace(all.Objects[i], kind, s)
	}
	return json.Marshal(all)
}

// list runs nft -j and reads what it prints.
func (h *Host) list(into *listing, args ...string) error {
	text, err := h.ToolOutput("nft", append([]string{"-j"}, args...)...)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(into); err != nil {
		return &unreadableError{fmt.Errorf("%s: nft -j: %w", h.Name, err)}
	}
	return nil
}

// unreadableError is the error for JSON of nft that cannot be read.
type unreadableError struct{ error }

// replace gives an object of another listing the set as l has it, with its elements. A set that was
// deleted meanwhile stays without elements.
func (l *listing) replace(object map[string]json.RawMessage, kind string, s listed) {
	for _, o := range l.Objects {
		if k, found, ok := setOf(o); ok && k == kind && found == s {
			object[kind] = o[kind]
		}
	}
}
