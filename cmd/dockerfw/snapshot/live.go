package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/saved"
)

// LiveOptions are how a running host is read.
type LiveOptions struct {
	// Backend is the kind of iptables to use where Docker has not run, or has rules in both
	// kinds; "" where it must be clear. Last is the one that was used last, "" if none was.
	Backend, Last Backend
	// Fixed reads the tables of Backend whichever kind Docker uses: a change there is undone.
	Fixed bool
	// Loading reads what a load needs as well: the tables of the other kind, and whether the
	// kernel has the security table. The legacy tools create that table.
	Loading bool
	// Boot reads a host on which the engine has not started: with Docker's rules in both kinds of
	// tables it uses the last one. Tables that iptables cannot print count as empty.
	Boot bool
	// Compiled are hosts of target nftables whose tables this one may have; those that are nil do not count.
	// Elements of their sets of over plan.LargeSet are not listed where the host has these sets by name: see
	// Host.NotListed.
	Compiled []*Host
	// Optional reads a host on which iptables and ipset may be missing or not work, because what is
	// loaded needs neither: without them it has no rules and sets of theirs. Tables of iptables-nft that
	// iptables cannot print, because nft made their rules, are read with nft alone.
	Optional bool
	// Removing reads the host whichever kind Docker uses: dockerfw is removed from both.
	Removing bool
}

// ReadLive reads the host that this runs on, with the tools that the function returns.
//
// iptables-save and nft list the rules one after the other. An engine that restores its rules after
// a reload of firewalld changes them in between, for seconds, and then their lists differ like those
// of a table that nft changed. So the host is read again, with new tools, until the lists agree or
// differ in the same way twice in a row.
func ReadLive(tools func() Tools, o LiveOptions) (*Fleet, hcl.Diagnostics, error) {
	earlier := ""
	for try := 1; ; try++ {
		fleet, diags, err := readHost(LiveName, tools(), o)
		var differs *listsDifferError
		if !errors.As(err, &differs) || err.Error() == earlier || try == readTries {
			return fleet, diags, err
		}
		earlier = err.Error()
		time.Sleep(readPause)
	}
}

// An engine needs a second or two to restore its rules, several times that on a slow machine.
const (
	readTries = 40
	readPause = 250 * time.Millisecond
)

// readHost reads a running host, this one or another, with its tools: of the two kinds of
// iptables it uses the one that has Docker's rules.
func readHost(name string, t Tools, o LiveOptions) (*Fleet, hcl.Diagnostics, error) {
	choice, err := chooseBackend(name, t, o)
	if err != nil {
		return nil, nil, err
	}
	h := newHost(name, Live)
	h.tools, h.Unread = t, map[ir.Family]error{}
	h.Backend, h.suffix = choice.backend, choice.suffix
	fleet := &Fleet{Name: name, Kind: Live, Hosts: []*Host{h}, Note: choice.note}
	if h.Network, err = t.Network(); err != nil {
		h.NetworkUnread = err.Error()
	}
	diags, err := h.readTables(o)
	if err != nil {
		return nil, nil, err
	}
	if diags.HasErrors() {
		return fleet, diags, nil
	}
	if o.Loading {
		more, err := h.readForLoading()
		if diags = append(diags, more...); err != nil || diags.HasErrors() {
			return fleet, diags, err
		}
	}
	if o.Boot {
		return fleet, diags, nil
	}
	if err := h.readNFT(o); err != nil {
		return nil, nil, err
	}
	return fleet, diags, nil
}

// ReadAgain reads a live host that was read for loading once more. What a load does not change, the
// tables of the other kind of iptables and of nft, and the interfaces, is taken from h.
func (h *Host) ReadAgain(t Tools) (*Host, hcl.Diagnostics, error) {
	out := newHost(h.Name, Live)
	out.tools, out.Unread = t, map[ir.Family]error{}
	out.Backend, out.suffix = h.Backend, h.suffix
	out.Other, out.NoSecurity, out.NFT, out.NFTUnread = h.Other, h.NoSecurity, h.NFT, h.NFTUnread
	out.Network, out.NetworkUnread = h.Network, h.NetworkUnread
	diags, err := out.readTables(LiveOptions{Loading: true, Optional: h.SetsUnread != nil})
	return out, diags, err
}

// readTables reads the tables of iptables and the sets.
func (h *Host) readTables(o LiveOptions) (hcl.Diagnostics, error) {
	var diags hcl.Diagnostics
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		tool := h.Tool(f) + "-save"
		text, err := h.tools.Output(tool)
		if o.Loading && err != nil {
			h.Unread[f] = err // it matters only if the policy has rules of the family
			continue
		}
		if errors.Is(err, ErrNoTool) && h.withoutIPTables() {
			h.Rules[f] = iptables.NewRuleset(iptables.Family(f))
			continue
		}
		m := incompatible.FindSubmatch(text)
		if o.Boot {
			m = nil
		}
		if o.Optional && m != nil {
			h.Unread[f] = fmt.Errorf("%s: %s", tool, m[1]) // nft lists these tables, too
			continue
		}
		if why := ""; err != nil || m != nil {
			if h.Backend == NFT && !errors.Is(err, ErrNoTool) {
				why = h.culprit(f)
			}
			switch {
			case why != "":
				return nil, fmt.Errorf("%s: %s", h.Name, why)
			case err != nil:
				return nil, err
			}
			return nil, fmt.Errorf("%s: %s: %s It has rules of nft, which iptables-save does not print", h.Name, tool, m[1])
		}
		holds := map[ir.Family]saved.Content{ir.IPv4: saved.Rules4, ir.IPv6: saved.Rules6}[f]
		diags = append(diags, h.add(saved.Part{Holds: holds, Text: string(text)}, tool)...)
	}
	text, err := h.tools.Output("ipset", "save")
	if err != nil && (o.Loading || !errors.Is(err, ErrNoTool)) {
		if !o.Boot && !o.Optional {
			return nil, err
		}
		// Boot can close all containers without ipset, and target nftables needs none.
		h.SetsUnread = err
	}
	diags = append(diags, h.add(saved.Part{Holds: saved.Sets, Text: string(text)}, "ipset save")...)
	return diags, nil
}

// readForLoading reads the tables of the other kind of iptables, and whether the kernel has the
// security table. iptables-nft has it always; the legacy one is a module.
func (h *Host) readForLoading() (hcl.Diagnostics, error) {
	h.Other, h.NoSecurity = map[ir.Family]*iptables.Ruleset{}, map[ir.Family]bool{}
	var diags hcl.Diagnostics
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		other := h.Backend.Other()
		if h.Unread[f] != nil {
			continue
		}
		if h.Rules[f] == nil {
			// iptables-save prints nothing where no table exists.
			h.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		}
		if other != Legacy || slices.Contains(h.tools.LegacyTables(f), "filter") {
			rules, more, err := h.readOther(f)
			if err != nil {
				return nil, err
			}
			diags = append(diags, more...)
			if rules != nil {
				h.Other[f] = rules
			}
		}
		if h.Backend != Legacy || h.Rules[f].Table("security") != nil {
			continue
		}
		tool := h.Tool(f) + "-save"
		text, err := h.tools.Output(tool, "-t", "security")
		if err != nil && !strings.Contains(err.Error(), "Table does not exist") {
			return nil, err
		}
		if err != nil {
			h.NoSecurity[f] = true
			continue
		}
		file, more := iptables.ParseRules(bytes.NewReader(text), tool)
		diags = append(diags, append(more, h.Rules[f].Load(file)...)...)
	}
	return diags, nil
}

// OtherRules returns the tables of a family of the kind of iptables that Docker does not use, as
// they were read for a load, or else reads them; nil where that kind is not installed, or this kernel
// does not support it. Rules that cannot be parsed are an error.
func (h *Host) OtherRules(f ir.Family) (*iptables.Ruleset, error) {
	if h.Other != nil {
		return h.Other[f], nil
	}
	rules, diags, err := h.readOther(f)
	if err == nil && diags.HasErrors() {
		err = diags
	}
	return rules, err
}

func (h *Host) readOther(f ir.Family) (*iptables.Ruleset, hcl.Diagnostics, error) {
	tool := IPTables(f) + "-" + string(h.Backend.Other()) + "-save"
	text, err := h.hostTools().Output(tool)
	switch {
	case errors.Is(err, ErrNoTool) || err != nil && unsupported(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	file, diags := iptables.ParseRules(bytes.NewReader(text), tool)
	rules := iptables.NewRuleset(iptables.Family(f))
	return rules, append(diags, rules.Load(file)...), nil
}

// unsupported reports whether a tool fails because the kernel has no nftables, or no tables of the
// legacy kind.
func unsupported(err error) bool {
	for _, text := range []string{"Failed to initialize nft", "Could not fetch rule set generation id", "can't initialize"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// withoutIPTables reports whether there are no tables of iptables to read, because iptables is not
// installed for either family, and nft is: on a host of target nftables.
func (h *Host) withoutIPTables() bool {
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if _, err := h.tools.Output(h.Tool(f) + "-save"); !errors.Is(err, ErrNoTool) || len(h.tools.LegacyTables(f)) > 0 {
			return false
		}
	}
	_, err := h.tools.Output("nft", "list", "tables")
	return err == nil
}
