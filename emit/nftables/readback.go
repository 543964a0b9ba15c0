package nftables

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// ReadBack returns an error unless a table that was loaded from the printed text has exactly the chains, rules and sets
// of t, in the same order. It shares no code with printing, on purpose: each checks the other. That loading again changes
// nothing, that the removal is complete, and the order of phases are checked by package proof.
func (t *Tables) ReadBack(table *nft.Table) error {
	if got, want := len(table.Chains), len(t.Chains); got != want {
		return fmt.Errorf("%d chains instead of %d", got, want)
	}
	for i, want := range t.Chains {
		got := table.Chains[i]
		if got.Name != want.Name || (got.Hook != "") != want.Base || len(got.Rules) != len(want.Rules) {
			return fmt.Errorf("line %d: chain %s with %d rules, instead of %s with %d", got.Range.Start.Line, got.Name, len(got.Rules), want.Name, len(want.Rules))
		}
		for k, rule := range want.Rules {
			back, err := readRule(got.Rules[k])
			same := func(a, b Match) bool { return reflect.DeepEqual(a, b) }
			if err == nil && (back.ID != rule.ID || !slices.EqualFunc(back.Matches, rule.Matches, same) || back.Verdict != rule.Verdict) {
				err = fmt.Errorf("it is read as %+v %+v", back.Matches, back.Verdict)
			}
			if err != nil {
				return fmt.Errorf("line %d, %q: %w", got.Rules[k].Range.Start.Line, rule.ID.Comment(), err)
			}
		}
	}
	if got, want := len(table.Sets), len(t.Sets); got != want {
		return fmt.Errorf("%d sets instead of %d", got, want)
	}
	for _, want := range t.Sets {
		if err := compareSet(table.Sets[want.Name], want); err != nil {
			return fmt.Errorf("set %s: %w", want.Name, err)
		}
	}
	return nil
}

func compareSet(got *nft.Set, want *Set) error {
	if got == nil {
		return errors.New("it is missing")
	}
	types := map[ir.Family]string{ir.IPv4: "ipv4_addr", ir.IPv6: "ipv6_addr"}
	flags := map[Kind][]string{Managed: {"interval"}, Unmanaged: {"interval", "timeout"}, Dynamic: {"dynamic"}}[want.Kind]
	if want.Timeout > 0 {
		flags = append(flags, "timeout")
	}
	if got.Map || got.Type != types[want.Family] || !slices.Equal(got.Flags, flags) || got.Size != want.Size || got.AutoMerge || len(got.Elem) > 0 {
		return fmt.Errorf("it is read as %+v", *got)
	}
	if got.Addresses.Len() != want.Prefixes.Len() {
		return fmt.Errorf("%d elements instead of %d", got.Addresses.Len(), want.Prefixes.Len())
	}
	v4, v6 := got.Addresses.V4, got.Addresses.V6
	for p := range want.Prefixes.All4() {
		if r := v4[0]; r.First != p.Address || uint64(r.Last)-uint64(r.First) != 1<<(32-p.Bits)-1 {
			return fmt.Errorf("the element %s instead of %s", r, p.Prefix())
		}
		v4 = v4[1:]
	}
	for p := range want.Prefixes.All6() {
		if r := v6[0]; r.String() != elementText(p.Prefix()) {
			return fmt.Errorf("the element %s instead of %s", r, p.Prefix())
		}
		v6 = v6[1:]
	}
	return nil
}

// elementText returns an element in the words of package nft: FIRST-LAST, or a single address.
func elementText(p netip.Prefix) string {
	r := netipx.RangeOfPrefix(p)
	if p.IsSingleIP() {
		return r.From().String()
	}
	return r.From().String() + "-" + r.To().String()
}

// readRule returns the rule that a rule of the text was printed from, without its origin.
func readRule(r *nft.Rule) (*Rule, error) {
	id, ok := ir.ParseComment(r.Comment)
	if !ok {
		return nil, fmt.Errorf("unknown comment %q", r.Comment)
	}
	out := &Rule{ID: id}
	for _, e := range r.Expr {
		body, _ := e.Body.(map[string]any)
		v, isVerdict := readVerdict(e.Kind, body)
		if out.Verdict != nil {
			return nil, fmt.Errorf("%s after the verdict", e.Text())
		}
		if isVerdict {
			out.Verdict = v
			continue
		}
		if code, isCode := readCode(e.Kind, body); isCode && len(out.Matches) > 0 {
			if t, ok := out.Matches[len(out.Matches)-1].(ICMP); ok && t.Code < 0 {
				t.Code = code
				out.Matches[len(out.Matches)-1] = t
				continue
			}
		}
		condition, err := readMatch(e, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Text(), err)
		}
		out.Matches = append(out.Matches, condition)
	}
	if out.Verdict == nil {
		return nil, errors.New("no verdict")
	}
	return out, nil
}

func readVerdict(kind string, body map[string]any) (Verdict, bool) {
	switch kind {
	case "accept":
		return Accept{}, true
	case "return":
		return Return{}, true
	case "drop":
		return Drop{}, true
	case "jump":
		to, _ := body["target"].(string)
		return Jump{to}, true
	case "reject":
		return Reject{TCPReset: body["type"] == "tcp reset"}, body["type"] == "tcp reset" || body["type"] == "icmpx" && body["expr"] == "admin-prohibited"
	case "log":
		prefix, _ := body["prefix"].(string)
		if group, ok := number(body["group"]); ok {
			return NFLog{prefix, uint16(group)}, true
		}
		levels := []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}
		level, written := body["level"].(string)
		if !written {
			level = "warn"
		}
		return Log{prefix, slices.Index(levels, level)}, true
	}
	return nil, false
}

// readCode reads the code of an ICMP message, which follows the type.
func readCode(kind string, body map[string]any) (int, bool) {
	left := nft.Value(body["left"])
	n, ok := number(body["right"])
	return n, kind == "match" && (left == "icmp code" || left == "icmpv6 code") && body["op"] == "==" && ok
}

// readMatch reads a condition.
func readMatch(e nft.Expr, body map[string]any) (Match, error) {
	switch e.Kind {
	case "limit":
		rate, over, err := readRate(body)
		return Limit{rate, over}, err
	case "set":
		return readCount(body)
	case "match":
	default:
		return nil, errors.New("unknown statement")
	}
	op, _ := body["op"].(string)
	left := nft.Value(body["left"])
	header, field, _ := strings.Cut(left, " ")
	var values []any
	switch right := body["right"].(type) {
	case map[string]any:
		if list, ok := right["set"].([]any); ok {
			values = list
		} else {
			values = []any{right}
		}
	case []any:
		values = right
	default:
		values = []any{right}
	}
	dir := Src
	if field == "dport" || field == "daddr" || left == "oifname" || strings.HasSuffix(left, " daddr") {
		dir = Dst
	}
	isAddress := (header == "ip" || header == "ip6") && (field == "saddr" || field == "daddr")
	equal := op == "==" || op == "in"
	switch {
	case left == "meta time" && op == "<":
		seconds, ok := number(body["right"])
		if !ok {
			return nil, errors.New("not a number of seconds")
		}
		return Time{time.Unix(int64(seconds), 0).UTC()}, nil
	case isAddress && (equal || op == "!="):
		f := map[string]ir.Family{"ip": ir.IPv4, "ip6": ir.IPv6}[header]
		if name, ok := body["right"].(string); ok && strings.HasPrefix(name, "@") {
			return SetMatch{Set: name[1:], Family: f, Dir: dir, Not: !equal}, nil
		}
		ranges, err := each(values, readRange)
		return Address{Dir: dir, Not: !equal, Ranges: ranges}, err
	case left == "meta nfproto" && (equal || op == "!="):
		f, err := lookup(map[string]ir.Family{"ipv4": ir.IPv4, "ipv6": ir.IPv6})(body["right"])
		return Family{Family: f, Not: !equal}, err
	case !equal:
		return nil, fmt.Errorf("operator %s", op)
	}
	switch left {
	case "iifname", "oifname":
		names, err := each(values, readText)
		return Interface{Dir: dir, Names: names}, err
	case "ct state":
		states, err := each(values, lookup(map[string]ir.CTState{"invalid": ir.CTInvalid, "new": ir.CTNew, "related": ir.CTRelated, "established": ir.CTEstablished, "untracked": ir.CTUntracked}))
		var all ir.CTState
		for _, s := range states {
			all |= s
		}
		return State{all}, err
	case "ct status":
		if len(values) != 1 || values[0] != "dnat" {
			return nil, errors.New("unknown status")
		}
		return Translated{}, nil
	case "ct direction":
		d, err := lookup(map[string]ir.CTDir{"original": ir.CTOriginal, "reply": ir.CTReply})(body["right"])
		return CTDirection{d}, err
	case "meta l4proto":
		numbers, err := each(values, readNumber(protocols))
		return Protocol{numbers}, err
	case "icmp type":
		types, err := each(values, readNumber(typesOfICMP))
		return ICMP{Family: ir.IPv4, Types: types, Code: -1}, err
	case "icmpv6 type":
		types, err := each(values, readNumber(typesOfICMPv6))
		return ICMP{Family: ir.IPv6, Types: types, Code: -1}, err
	case "ct original proto-dst":
		p, err := readPorts(body["right"])
		return OriginalPort{p}, err
	case "ct original ip daddr", "ct original ip6 daddr":
		addresses, err := each(values, func(v any) (netip.Addr, error) {
			text, _ := v.(string)
			return netip.ParseAddr(text)
		})
		return OriginalAddress{addresses}, err
	}
	if field == "sport" || field == "dport" {
		ranges, err := each(values, readPorts)
		return Ports{Protocol: map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}[header], Dir: dir, Ranges: ranges}, err
	}
	return nil, errors.New("unknown condition")
}

// readCount reads the counts of sources in a dynamic set.
func readCount(body map[string]any) (Match, error) {
	name, _ := body["set"].(string)
	stmts, _ := body["stmt"].([]any)
	if len(stmts) != 1 {
		return nil, errors.New("not one limit")
	}
	stmt, _ := stmts[0].(map[string]any)
	source, mask := body["elem"], ""
	if m, ok := source.(map[string]any); ok {
		if masked, ok := m["&"].([]any); ok && len(masked) == 2 {
			source = masked[0]
			mask, _ = masked[1].(string)
		}
	}
	f, err := lookup(map[string]ir.Family{"ip saddr": ir.IPv4, "ip6 saddr": ir.IPv6})(nft.Value(source))
	if err != nil {
		return nil, err
	}
	set := strings.TrimPrefix(name, "@")
	if limit, ok := stmt["limit"].(map[string]any); ok && body["op"] == "update" && mask == "" {
		rate, over, err := readRate(limit)
		return SourceLimit{Rate: rate, Over: over, Set: set, Family: f}, err
	}
	count, ok := stmt["ct count"].(map[string]any)
	maximum, isNumber := number(count["val"])
	if !ok || !isNumber || body["op"] != "add" {
		return nil, errors.New("unknown limit")
	}
	out := SourceConnections{Max: maximum, Over: count["inv"] == true, Set: set, Family: f, PrefixLength: map[ir.Family]int{ir.IPv4: 32, ir.IPv6: 128}[f]}
	if mask != "" {
		a, err := netip.ParseAddr(mask)
		if err != nil {
			return nil, err
		}
		out.PrefixLength = 0
		for _, b := range a.AsSlice() {
			out.PrefixLength += bits.OnesCount8(b)
		}
	}
	return out, nil
}

func readRate(body map[string]any) (Rate, bool, error) {
	count, ok1 := number(body["rate"])
	burst, ok2 := number(body["burst"])
	seconds, err := lookup(map[string]int{"second": 1, "minute": 60, "hour": 3600, "day": 86400})(body["per"])
	if !ok1 || !ok2 {
		err = cmp.Or(err, errors.New("no rate or burst"))
	}
	return Rate{ir.Frequency{Count: count, Seconds: seconds}, burst}, body["inv"] == true, err
}

func readText(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", errors.New("not a name")
	}
	return text, nil
}

// ends returns the ends of a range, or twice a value that is not one.
func ends(v any) (first, last any) {
	if m, ok := v.(map[string]any); ok {
		if l, ok := m["range"].([]any); ok && len(l) == 2 {
			return l[0], l[1]
		}
	}
	return v, v
}

func readPorts(v any) (ir.PortRange, error) {
	first, last := ends(v)
	a, ok1 := number(first)
	b, ok2 := number(last)
	if !ok1 || !ok2 {
		return ir.PortRange{}, errors.New("not a port")
	}
	return ir.PortRange{First: uint16(a), Last: uint16(b)}, nil
}

func readRange(v any) (netipx.IPRange, error) {
	if m, ok := v.(map[string]any); ok && m["prefix"] != nil {
		p, err := netip.ParsePrefix(nft.Value(v))
		if err != nil {
			return netipx.IPRange{}, err
		}
		return netipx.RangeOfPrefix(p), nil
	}
	first, last := ends(v)
	a, _ := first.(string)
	b, _ := last.(string)
	from, err := netip.ParseAddr(a)
	to, err2 := netip.ParseAddr(b)
	return netipx.IPRangeFrom(from, to), errors.Join(err, err2)
}

func number(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(n.String())
	return i, err == nil
}

// readNumber returns a function that reads a number or a name of one.
func readNumber(names map[string]uint8) func(any) (uint8, error) {
	return func(v any) (uint8, error) {
		if n, ok := number(v); ok && n >= 0 && n < 256 {
			return uint8(n), nil
		}
		return lookup(names)(v)
	}
}

// lookup returns a function that returns the value of a word.
func lookup[T any](words map[string]T) func(any) (T, error) {
	return func(v any) (T, error) {
		text, _ := v.(string)
		value, ok := words[text]
		if !ok {
			return value, fmt.Errorf("unknown word %q", nft.Value(v))
		}
		return value, nil
	}
}

// each applies read to all values.
func each[T any](values []any, read func(any) (T, error)) ([]T, error) {
	var out []T
	for _, v := range values {
		one, err := read(v)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

var (
	protocols = map[string]uint8{
		"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
	}
	typesOfICMP = map[string]uint8{
		"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
		"router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
		"timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
		"address-mask-request": 17, "address-mask-reply": 18,
	}
	typesOfICMPv6 = map[string]uint8{
		"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
		"echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
		"nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137,
		"router-renumbering": 138, "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
	}
)
