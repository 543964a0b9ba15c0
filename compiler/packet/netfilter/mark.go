package netfilter

import (
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// actionsOf returns the actions of a rule's target.
func actionsOf(r *iptables.Rule) []packet.Action {
	switch r.Jump {
	case "MARK":
		return markActions(r.Target, packet.SetMark)
	case "CONNMARK":
		return markActions(r.Target, packet.SetConnMark)
	case "NOTRACK":
		return []packet.Action{{Kind: packet.Untrack}}
	case "CT":
		for _, o := range r.Target {
			if o.Name == "--notrack" {
				return []packet.Action{{Kind: packet.Untrack}}
			}
		}
	case "HMARK":
		return []packet.Action{{Kind: packet.LoseMark}}
	case "SET":
		for _, o := range r.Target {
			if o.Name == "--map-mark" {
				return []packet.Action{{Kind: packet.LoseMark}}
			}
		}
	}
	return nil
}

// markActions reads the options of MARK and CONNMARK. After options that cannot be read the
// mark is not known.
func markActions(options []iptables.Option, set packet.ActionKind) []packet.Action {
	var save, restore bool
	nf, ct := ^uint32(0), ^uint32(0)
	for _, o := range options {
		value, mask, ok := markNumbers(o.Value())
		switch o.Name {
		case "--save-mark":
			save = true
		case "--restore-mark":
			restore = true
		case "--nfmask":
			nf = value
		case "--ctmask":
			ct = value
		case "--mask":
			nf, ct = value, value
		case "--set-xmark":
			if ok {
				return []packet.Action{{Kind: set, Value: value, Mask: mask}}
			}
		case "--set-mark":
			if ok {
				return []packet.Action{{Kind: set, Value: value, Mask: value | mask}}
			}
		case "--and-mark":
			if ok {
				return []packet.Action{{Kind: set, Value: 0, Mask: ^value}}
			}
		case "--or-mark":
			if ok {
				return []packet.Action{{Kind: set, Value: value, Mask: value}}
			}
		case "--xor-mark":
			if ok {
				return []packet.Action{{Kind: set, Value: value, Mask: 0}}
			}
		}
	}
	switch {
	case save:
		return []packet.Action{{Kind: packet.SaveMark, Value: nf, Mask: ct}}
	case restore:
		return []packet.Action{{Kind: packet.RestoreMark, Value: ct, Mask: nf}}
	}
	return []packet.Action{{Kind: packet.LoseMark}}
}

// markNumbers reads VALUE or VALUE/MASK; the mask is all bits if there is none.
func markNumbers(text string) (value, mask uint32, ok bool) {
	v, m, masked := strings.Cut(text, "/")
	number := func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 0, 32)
		return uint32(n), err
	}
	value, err := number(v)
	if err != nil {
		return 0, 0, false
	}
	mask = ^uint32(0)
	if masked {
		if mask, err = number(m); err != nil {
			return 0, 0, false
		}
	}
	return value, mask, true
}

// markOption reads -m mark and -m connmark.
func markOption(m *iptables.Match) ([]packet.Cond, bool) {
	if len(m.Options) != 1 || m.Options[0].Name != "--mark" {
		return nil, false
	}
	o := m.Options[0]
	value, mask, ok := markNumbers(o.Value())
	if !ok {
		return nil, false
	}
	c := packet.Mark{Conn: m.Name == "connmark", Value: value, Mask: mask}
	if !c.Conn {
		return []packet.Cond{inverted(c, o)}, true
	}
	// Without a connection the match fails, even with !.
	return []packet.Cond{tracked, inverted(c, o)}, true
}

// tracked holds for packets that are part of a known connection.
var tracked = packet.Dir{}
