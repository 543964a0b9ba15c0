package compiler

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// ReadBack turns a rule that was read from text into the rule of the IR it means.
// It fails on what the IR has no type for, and shares no code with emit.
func ReadBack(r *iptables.Rule, f ir.Family) (*ir.Rule, error) {
	out := &ir.Rule{}
	for _, o := range r.Base {
		m, err := readBase(o)
		if err != nil {
			return nil, err
		}
		out.Matches = append(out.Matches, m)
	}
	for i := range r.Matches {
		if r.Matches[i].Name == "comment" {
			if err := readComment(out, &r.Matches[i]); err != nil {
				return nil, err
			}
			continue
		}
		m, err := readMatch(&r.Matches[i], f)
		if err != nil {
			return nil, err
		}
		out.Matches = append(out.Matches, m)
	}
	verdict, err := readVerdict(r)
	out.Verdict = verdict
	return out, err
}

// readComment takes phase and name from a comment of ours.
func readComment(r *ir.Rule, m *iptables.Match) error {
	text := ""
	if o := m.Option("--comment"); o != nil {
		text = o.Value()
	}
	words := strings.Fields(text)
	if len(words) < 2 || len(words) > 3 || words[0] != "dockerfw" {
		return fmt.Errorf("comment %q is not dockerfw's", text)
	}
	for p := ir.Established; p <= ir.Input; p++ {
		if p.String() == words[1] {
			r.Phase = p
			if len(words) == 3 {
				r.Origin.Name = words[2]
			}
			return nil
		}
	}
	return fmt.Errorf("comment %q names no phase", text)
}

func readBase(o iptables.Option) (ir.Match, error) {
	dir := ir.Src
	switch o.Name {
	case "-d", "-o":
		dir = ir.Dst
	}
	switch {
	case o.Name == "-s" || o.Name == "-d":
		text := o.Value()
		if !strings.Contains(text, "/") {
			return nil, fmt.Errorf("address %q without a prefix length", text)
		}
		p, err := netip.ParsePrefix(text)
		return ir.Address{Dir: dir, Not: o.Not, Prefix: p}, err
	case (o.Name == "-i" || o.Name == "-o") && !o.Not:
		return ir.Interface{Dir: dir, Name: o.Value()}, nil
	case o.Name == "-p" && !o.Not:
		n, ok := iptables.ProtocolNumber(o.Value())
		if !ok {
			return nil, fmt.Errorf("protocol %q", o.Value())
		}
		return ir.Protocol{Number: n}, nil
	}
	return nil, unmodelled(o)
}

func unmodelled(o iptables.Option) error {
	not := ""
	if o.Not {
		not = "! "
	}
	return fmt.Errorf("%s%s %s is not modelled", not, o.Name, strings.Join(o.Values, " "))
}

func readMatch(m *iptables.Match, f ir.Family) (ir.Match, error) {
	switch m.Name {
	case "tcp", "udp", "sctp":
		return readPorts(m)
	case "icmp", "icmp6":
		return readICMP(m, f)
	case "conntrack":
		return readConntrack(m)
	case "set":
		return readSet(m)
	case "hashlimit":
		return readHashLimit(m)
	case "connlimit":
		return readConnLimit(m)
	case "limit":
		return readLimit(m)
	}
	return nil, fmt.Errorf("match %s is not modelled", m.Name)
}

func readPorts(m *iptables.Match) (ir.Match, error) {
	n, _ := iptables.ProtocolNumber(m.Name)
	out := ir.Ports{Protocol: n}
	for _, o := range m.Options {
		p, err := readRange(o.Value())
		switch {
		case err != nil || o.Not:
			return nil, unmodelled(o)
		case o.Name == "--sport":
			out.Src = p
		case o.Name == "--dport":
			out.Dst = p
		default:
			return nil, unmodelled(o)
		}
	}
	return out, nil
}

func readRange(text string) (*ir.PortRange, error) {
	first, last, isRange := strings.Cut(text, ":")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return nil, err
	}
	b, err := strconv.ParseUint(last, 10, 16)
	if err != nil || a > b {
		return nil, fmt.Errorf("port range %q", text)
	}
	return &ir.PortRange{First: uint16(a), Last: uint16(b)}, nil
}

func readICMP(m *iptables.Match, f ir.Family) (ir.Match, error) {
	name := "--icmp-type"
	if f == ir.IPv6 {
		name = "--icmpv6-type"
	}
	o := m.Option(name)
	if o == nil || o.Not || len(m.Options) != 1 {
		return nil, fmt.Errorf("match %s is not modelled", m.Name)
	}
	typ, code, hasCode := strings.Cut(o.Value(), "/")
	t, err := strconv.ParseUint(typ, 10, 8)
	if err != nil {
		return nil, unmodelled(*o)
	}
	out := ir.ICMP{Family: f, Type: uint8(t), Code: -1}
	if hasCode {
		c, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return nil, unmodelled(*o)
		}
		out.Code = int(c)
	}
	return out, nil
}

var stateNames = []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"}

func readConntrack(m *iptables.Match) (ir.Match, error) {
	var out ir.Conntrack
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unmodelled(o)
		case o.Name == "--ctstate":
			for name := range strings.SplitSeq(o.Value(), ",") {
				i := slices.Index(stateNames, name)
				if i < 0 {
					return nil, unmodelled(o)
				}
				out.States |= 1 << i
			}
		case o.Name == "--ctorigdst":
			out.OrigDst, err = netip.ParseAddr(o.Value())
		case o.Name == "--ctorigdstport":
			out.OrigDstPort, err = readRange(o.Value())
		case o.Name == "--ctdir" && o.Value() == "ORIGINAL":
			out.Dir = ir.CTOriginal
		case o.Name == "--ctdir" && o.Value() == "REPLY":
			out.Dir = ir.CTReply
		default:
			err = unmodelled(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readSet(m *iptables.Match) (ir.Match, error) {
	o := m.Option("--match-set")
	if o == nil || len(m.Options) != 1 || len(o.Values) != 2 {
		return nil, fmt.Errorf("match set is not modelled")
	}
	switch o.Values[1] {
	case "src":
		return ir.SetMatch{Set: o.Values[0], Dir: ir.Src, Not: o.Not}, nil
	case "dst":
		return ir.SetMatch{Set: o.Values[0], Dir: ir.Dst, Not: o.Not}, nil
	}
	return nil, unmodelled(*o)
}

func readRate(text string) (ir.Rate, error) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if err != nil || !slices.Contains([]ir.Unit{ir.PerSecond, ir.PerMinute, ir.PerHour, ir.PerDay}, ir.Unit(unit)) {
		return ir.Rate{}, fmt.Errorf("rate %q", text)
	}
	return ir.Rate{Count: n, Unit: ir.Unit(unit)}, nil
}

func readHashLimit(m *iptables.Match) (ir.Match, error) {
	var out ir.HashLimit
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unmodelled(o)
		case o.Name == "--hashlimit-upto":
			out.Rate, err = readRate(o.Value())
		case o.Name == "--hashlimit-above":
			out.Above = true
			out.Rate, err = readRate(o.Value())
		case o.Name == "--hashlimit-burst":
			out.Burst, err = strconv.Atoi(o.Value())
		case o.Name == "--hashlimit-mode" && o.Value() == "srcip":
			out.PerSource = true
		case o.Name == "--hashlimit-name":
			out.Name = o.Value()
		case o.Name == "--hashlimit-htable-expire":
			out.Expire, err = readSeconds(o.Value())
		default:
			err = unmodelled(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readSeconds reads whole seconds, which iptables takes in milliseconds.
func readSeconds(text string) (int, error) {
	ms, err := strconv.Atoi(text)
	if err == nil && ms%1000 != 0 {
		err = fmt.Errorf("%d ms are not whole seconds", ms)
	}
	return ms / 1000, err
}

func readConnLimit(m *iptables.Match) (ir.Match, error) {
	var out ir.ConnLimit
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unmodelled(o)
		case o.Name == "--connlimit-upto":
			out.Max, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-above":
			out.Above = true
			out.Max, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-mask":
			out.PrefixLength, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-saddr":
		default:
			err = unmodelled(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readLimit(m *iptables.Match) (ir.Match, error) {
	out := ir.Limit{Burst: defaultLimitBurst}
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unmodelled(o)
		case o.Name == "--limit":
			out.Rate, err = readRate(o.Value())
		case o.Name == "--limit-burst":
			out.Burst, err = strconv.Atoi(o.Value())
		default:
			err = unmodelled(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readVerdict(r *iptables.Rule) (ir.Verdict, error) {
	if r.Goto {
		return nil, fmt.Errorf("-g is not modelled")
	}
	option := func(name string) string {
		for _, o := range r.Target {
			if o.Name == name {
				return o.Value()
			}
		}
		return ""
	}
	number := func(name string, fallback int) (int, error) {
		if text := option(name); text != "" {
			return strconv.Atoi(text)
		}
		return fallback, nil
	}
	switch r.Jump {
	case "ACCEPT":
		return ir.AcceptPacket{}, nil
	case "RETURN":
		return ir.Return{}, nil
	case "DROP":
		return ir.Drop{}, nil
	case "REJECT":
		return ir.Reject{With: option("--reject-with")}, nil
	case "LOG":
		level, err := number("--log-level", 4)
		return ir.Log{Prefix: option("--log-prefix"), Level: level}, err
	case "NFLOG":
		group, err := number("--nflog-group", 0)
		return ir.NFLog{Prefix: option("--nflog-prefix"), Group: uint16(group)}, err
	}
	if strings.HasPrefix(r.Jump, OwnChain) {
		return ir.JumpTo{Chain: r.Jump}, nil
	}
	return nil, fmt.Errorf("target %q is not modelled", r.Jump)
}
