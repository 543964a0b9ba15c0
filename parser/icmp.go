package parser

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

const anyCode = -1

// The names of ICMP types in iptables-extensions(8), with the numbers of IANA.
var (
	icmpNames = map[string]ICMPCode{
		"echo-reply":                 {0, anyCode},
		"destination-unreachable":    {3, anyCode},
		"network-unreachable":        {3, 0},
		"host-unreachable":           {3, 1},
		"protocol-unreachable":       {3, 2},
		"port-unreachable":           {3, 3},
		"fragmentation-needed":       {3, 4},
		"source-route-failed":        {3, 5},
		"network-unknown":            {3, 6},
		"host-unknown":               {3, 7},
		"network-prohibited":         {3, 9},
		"host-prohibited":            {3, 10},
		"TOS-network-unreachable":    {3, 11},
		"TOS-host-unreachable":       {3, 12},
		"communication-prohibited":   {3, 13},
		"host-precedence-violation":  {3, 14},
		"precedence-cutoff":          {3, 15},
		"source-quench":              {4, anyCode},
		"redirect":                   {5, anyCode},
		"network-redirect":           {5, 0},
		"host-redirect":              {5, 1},
		"TOS-network-redirect":       {5, 2},
		"TOS-host-redirect":          {5, 3},
		"echo-request":               {8, anyCode},
		"router-advertisement":       {9, anyCode},
		"router-solicitation":        {10, anyCode},
		"time-exceeded":              {11, anyCode},
		"ttl-zero-during-transit":    {11, 0},
		"ttl-zero-during-reassembly": {11, 1},
		"parameter-problem":          {12, anyCode},
		"ip-header-bad":              {12, 0},
		"required-option-missing":    {12, 1},
		"timestamp-request":          {13, anyCode},
		"timestamp-reply":            {14, anyCode},
		"address-mask-request":       {17, anyCode},
		"address-mask-reply":         {18, anyCode},
	}
	icmpv6Names = map[string]ICMPCode{
		"destination-unreachable":    {1, anyCode},
		"no-route":                   {1, 0},
		"communication-prohibited":   {1, 1},
		"beyond-scope":               {1, 2},
		"address-unreachable":        {1, 3},
		"port-unreachable":           {1, 4},
		"failed-policy":              {1, 5},
		"reject-route":               {1, 6},
		"packet-too-big":             {2, anyCode},
		"time-exceeded":              {3, anyCode},
		"ttl-zero-during-transit":    {3, 0},
		"ttl-zero-during-reassembly": {3, 1},
		"parameter-problem":          {4, anyCode},
		"bad-header":                 {4, 0},
		"unknown-header-type":        {4, 1},
		"unknown-option":             {4, 2},
		"echo-request":               {128, anyCode},
		"echo-reply":                 {129, anyCode},
		"router-solicitation":        {133, anyCode},
		"router-advertisement":       {134, anyCode},
		"neighbour-solicitation":     {135, anyCode},
		"neighbor-solicitation":      {135, anyCode},
		"neighbour-advertisement":    {136, anyCode},
		"neighbor-advertisement":     {136, anyCode},
		"redirect":                   {137, anyCode},
	}
)

// icmpTypes reads a list of ICMP types. Names determine the family unless protocol does;
// numbers need a protocol.
func (b *block) icmpTypes(protocols []At[Protocol]) []At[ICMPType] {
	if !b.has("icmp_types") {
		return nil
	}
	v4, v6 := !b.has("protocol"), !b.has("protocol")
	if b.has("protocol") && len(protocols) == 0 {
		return nil // the protocol's error is reported
	}
	other := false
	for _, p := range protocols {
		switch p.Value.Number {
		case ICMP:
			v4 = true
		case ICMPv6:
			v6 = true
		default:
			other = true
			b.error(diag.CodeICMPType, p.Range, fmt.Sprintf("icmp_types with protocol %s", p.Value.Name), "Only icmp and icmpv6 have ICMP types. Write a separate rule for %s.", p.Value.Name)
		}
	}
	if other {
		return nil
	}
	items, _ := b.list("icmp_types")
	var out []At[ICMPType]
	for _, it := range items {
		t, ok := b.icmpType(it, v4, v6)
		if !ok {
			continue
		}
		if slices.ContainsFunc(out, func(o At[ICMPType]) bool { return overlap(o.Value.V4, t.V4) || overlap(o.Value.V6, t.V6) }) {
			b.error(diag.CodeDuplicate, it.rng, "ICMP type twice", "Another element of the list covers it. Remove one of them.")
			continue
		}
		out = append(out, At[ICMPType]{t, it.rng})
	}
	return out
}

func overlap(a, b *ICMPCode) bool {
	return a != nil && b != nil && a.Type == b.Type && (a.Code < 0 || b.Code < 0 || a.Code == b.Code)
}

func (b *block) icmpType(it item, v4, v6 bool) (ICMPType, bool) {
	fail := func(format string, args ...any) (ICMPType, bool) {
		b.error(diag.CodeICMPType, it.rng, "not an ICMP type", format, args...)
		return ICMPType{}, false
	}
	const want = `An ICMP type is a name such as "echo-request", a number from 0 to 254, or type and code such as "3/4".`
	if it.IsNull() || !it.Type().IsPrimitiveType() || it.Type() == cty.Bool {
		return fail("%s This is %s.", want, describe(it.Value))
	}
	text := primitiveText(it.Value)
	if text != "" && text[0] >= '0' && text[0] <= '9' {
		code, ok := parseICMPCode(text)
		switch {
		case !ok:
			return fail("%s %q is not.", want, text)
		case v4 == v6:
			return fail("The number has different meanings in ICMP and ICMPv6. Set protocol to \"icmp\" or \"icmpv6\", or use a name.")
		case v4:
			return ICMPType{V4: &code}, true
		}
		return ICMPType{V6: &code}, true
	}
	var t ICMPType
	if code, ok := icmpNames[text]; ok && v4 {
		t.V4 = &code
	}
	if code, ok := icmpv6Names[text]; ok && v6 {
		t.V6 = &code
	}
	if t == (ICMPType{}) {
		_, in4 := icmpNames[text]
		_, in6 := icmpv6Names[text]
		switch {
		case in4:
			return fail("%q is a type of ICMP (IPv4), and the rule's protocol is not \"icmp\".", text)
		case in6:
			return fail("%q is a type of ICMPv6, and the rule's protocol is not \"icmpv6\".", text)
		}
		known := ICMPTypeNames()
		return fail("%s %q is not.%s", want, text, suggest.DidYouMean(text, known))
	}
	return t, true
}

func parseICMPCode(text string) (ICMPCode, bool) {
	typ, code, hasCode := strings.Cut(text, "/")
	t, err := strconv.ParseUint(typ, 10, 8)
	// 255 is reserved, and iptables reads it as any type:
	// docs/contributing/netfilter.md, "ICMP type 255".
	if err != nil || t == 255 {
		return ICMPCode{}, false
	}
	out := ICMPCode{Type: uint8(t), Code: anyCode}
	if hasCode {
		c, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return ICMPCode{}, false
		}
		out.Code = int(c)
	}
	return out, true
}

// ICMPTypeNames returns the names of ICMP types of both families, sorted.
func ICMPTypeNames() []string {
	all := maps.Clone(icmpNames)
	maps.Copy(all, icmpv6Names)
	return slices.Sorted(maps.Keys(all))
}
