package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	text "github.com/dockerfw/dockerfw/parser/iptables"
)

// readRule returns a parsed rule in the types of this package, and an error if they cannot
// represent it. It shares no code with Spec, on purpose: each checks the other.
func readRule(r *text.Rule, f ir.Family) (*Rule, error) {
	out := &Rule{}
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

// readComment sets the identity of a rule from its comment.
func readComment(r *Rule, m *text.Match) error {
	comment := ""
	if o := m.Option("--comment"); o != nil {
		comment = o.Value()
	}
	id, ok := ir.ParseComment(comment)
	if !ok {
		return fmt.Errorf("comment %q is not a dockerfw comment", comment)
	}
	r.ID = id
	return nil
}

func readBase(o text.Option) (Match, error) {
	dir := Src
	switch o.Name {
	case "-d", "-o":
		dir = Dst
	}
	switch {
	case o.Name == "-s" || o.Name == "-d":
		address := o.Value()
		if !strings.Contains(address, "/") {
			return nil, fmt.Errorf("address %q has no prefix length", address)
		}
		p, err := netip.ParsePrefix(address)
		return Address{Dir: dir, Not: o.Not, Prefix: p}, err
	case (o.Name == "-i" || o.Name == "-o") && !o.Not:
		return Interface{Dir: dir, Name: o.Value()}, nil
	case o.Name == "-p" && !o.Not:
		n, ok := text.ProtocolNumber(o.Value())
		if !ok {
			return nil, fmt.Errorf("unknown protocol %q", o.Value())
		}
		return Protocol{Number: n}, nil
	}
	return nil, unsupported(o)
}

func unsupported(o text.Option) error {
	not := ""
	if o.Not {
		not = "! "
	}
	return fmt.Errorf("%s%s %s is not supported", not, o.Name, strings.Join(o.Values, " "))
}

func readMatch(m *text.Match, f ir.Family) (Match, error) {
	switch m.Name {
	case "tcp", "udp", "sctp":
		return readPorts(m)
	case "icmp", "icmp6":
		return readICMP(m, f)
	case "conntrack":
		return readConntrack(m)
	case "set":
		return readSet(m)
	case "time":
		return readTime(m)
	case "hashlimit":
		return readHashLimit(m)
	case "connlimit":
		return readConnLimit(m)
	case "limit":
		return readLimit(m)
	}
	return nil, fmt.Errorf("match %s is not supported", m.Name)
}

func readPorts(m *text.Match) (Match, error) {
	n, _ := text.ProtocolNumber(m.Name)
	out := Ports{Protocol: n}
	for _, o := range m.Options {
		p, err := readRange(o.Value())
		switch {
		case err != nil || o.Not:
			return nil, unsupported(o)
		case o.Name == "--sport":
			out.Src = p
		case o.Name == "--dport":
			out.Dst = p
		default:
			return nil, unsupported(o)
		}
	}
	return out, nil
}

func readRange(written string) (*ir.PortRange, error) {
	first, last, isRange := strings.Cut(written, ":")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return nil, err
	}
	b, err := strconv.ParseUint(last, 10, 16)
	if err != nil || a > b {
		return nil, fmt.Errorf("invalid port range %q", written)
	}
	return &ir.PortRange{First: uint16(a), Last: uint16(b)}, nil
}

func readICMP(m *text.Match, f ir.Family) (Match, error) {
	name := "--icmp-type"
	if f == ir.IPv6 {
		name = "--icmpv6-type"
	}
	o := m.Option(name)
	if o == nil || o.Not || len(m.Options) != 1 {
		return nil, fmt.Errorf("match %s is not supported", m.Name)
	}
	typ, code, hasCode := strings.Cut(o.Value(), "/")
	t, err := strconv.ParseUint(typ, 10, 8)
	if err != nil {
		return nil, unsupported(*o)
	}
	out := ICMP{Family: f, Type: uint8(t), Code: -1}
	if hasCode {
		c, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return nil, unsupported(*o)
		}
		out.Code = int(c)
	}
	return out, nil
}

var stateNames = []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"}

func readConntrack(m *text.Match) (Match, error) {
	var out Conntrack
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unsupported(o)
		case o.Name == "--ctstate":
			for name := range strings.SplitSeq(o.Value(), ",") {
				i := slices.Index(stateNames, name)
				if i < 0 {
					return nil, unsupported(o)
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
			err = unsupported(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readSet(m *text.Match) (Match, error) {
	o := m.Option("--match-set")
	if o == nil || len(m.Options) != 1 || len(o.Values) != 2 {
		return nil, fmt.Errorf("match set is not supported")
	}
	switch o.Values[1] {
	case "src":
		return SetMatch{Set: o.Values[0], Dir: Src, Not: o.Not}, nil
	case "dst":
		return SetMatch{Set: o.Values[0], Dir: Dst, Not: o.Not}, nil
	}
	return nil, unsupported(*o)
}

// readTime reads YYYY-MM-DDThh:mm:ss, as iptables prints it.
func readTime(m *text.Match) (Match, error) {
	o := m.Option("--datestop")
	if o == nil || o.Not || len(m.Options) != 1 {
		return nil, fmt.Errorf("match time is not supported")
	}
	last, err := time.ParseInLocation("2006-01-02T15:04:05", o.Value(), time.UTC)
	return Time{Last: last}, err
}

func readRate(written string) (Rate, error) {
	number, unit, _ := strings.Cut(written, "/")
	n, err := strconv.Atoi(number)
	if err != nil || !slices.Contains([]Unit{PerSecond, PerMinute, PerHour, PerDay}, Unit(unit)) {
		return Rate{}, fmt.Errorf("invalid rate %q", written)
	}
	return Rate{Count: n, Unit: Unit(unit)}, nil
}

func readHashLimit(m *text.Match) (Match, error) {
	var out HashLimit
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unsupported(o)
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
			err = unsupported(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readSeconds returns the seconds of a time that iptables prints in milliseconds.
func readSeconds(written string) (int, error) {
	ms, err := strconv.Atoi(written)
	if err == nil && ms%1000 != 0 {
		err = fmt.Errorf("%d ms is not a number of whole seconds", ms)
	}
	return ms / 1000, err
}

func readConnLimit(m *text.Match) (Match, error) {
	var out ConnLimit
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unsupported(o)
		case o.Name == "--connlimit-upto":
			out.Max, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-above":
			out.Above = true
			out.Max, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-mask":
			out.PrefixLength, err = strconv.Atoi(o.Value())
		case o.Name == "--connlimit-saddr":
		default:
			err = unsupported(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readLimit(m *text.Match) (Match, error) {
	out := Limit{Burst: defaultLimitBurst}
	for _, o := range m.Options {
		var err error
		switch {
		case o.Not:
			err = unsupported(o)
		case o.Name == "--limit":
			out.Rate, err = readRate(o.Value())
		case o.Name == "--limit-burst":
			out.Burst, err = strconv.Atoi(o.Value())
		default:
			err = unsupported(o)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readVerdict(r *text.Rule) (Verdict, error) {
	if r.Goto {
		if !strings.HasPrefix(r.Jump, ir.OwnChain) {
			return nil, fmt.Errorf("-g %s is not supported", r.Jump)
		}
		return Goto{Chain: r.Jump}, nil
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
		if value := option(name); value != "" {
			return strconv.Atoi(value)
		}
		return fallback, nil
	}
	switch r.Jump {
	case "ACCEPT":
		return Accept{}, nil
	case "RETURN":
		return Return{}, nil
	case "DROP":
		return Drop{}, nil
	case "REJECT":
		return Reject{With: option("--reject-with")}, nil
	case "LOG":
		level, err := number("--log-level", 4)
		return Log{Prefix: option("--log-prefix"), Level: level}, err
	case "NFLOG":
		group, err := number("--nflog-group", 0)
		return NFLog{Prefix: option("--nflog-prefix"), Group: uint16(group)}, err
	}
	if strings.HasPrefix(r.Jump, ir.OwnChain) {
		return Jump{Chain: r.Jump}, nil
	}
	return nil, fmt.Errorf("target %q is not supported", r.Jump)
}
