package parser

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// single opens a block that may stand once inside b; nil when it does not.
func (b *block) single(kind string, schema *hcl.BodySchema) *block {
	found := b.content.Blocks.OfType(kind)
	if len(found) == 0 {
		return nil
	}
	for _, extra := range found[1:] {
		b.error(diag.CodeDuplicate, extra.DefRange, fmt.Sprintf("second %s block", kind), "A rule has one %s block. Join the two.", kind)
	}
	return b.open(found[0], schema, b.ctx)
}

// Bounds of limits.
const (
	// maxBurst and maxCount are far above what a limit is for, and within what
	// the kernel computes with.
	maxBurst = 10000
	// maxRateCount is the most that -m limit takes a second; it counts in steps
	// of 1/10000 second.
	maxRateCount = 10000
	// maxRefill bounds the time in seconds in which a whole burst comes back. The
	// kernel refuses what overflows 32 bits of its credits, which are scaled so
	// that a day fits ("--limit 3/day" with burst 5 fails on iptables-legacy).
	maxRefill = 86400
	// defaultBurst is that of iptables.
	defaultBurst = 5
	// maxConnections is more than a conntrack table holds.
	maxConnections = 1 << 24
)

var rateSchema = &hcl.BodySchema{Attributes: append(attributes("burst", "per"), hcl.AttributeSchema{Name: "limit", Required: true})}

func (b *block) rate() *Rate {
	r := b.single("rate", rateSchema)
	if r == nil {
		return nil
	}
	out := &Rate{DeclRange: r.header, Burst: defaultBurst, PerSource: true}
	if n := r.integer("burst", 1, maxBurst); n != nil {
		out.Burst = n.Value
	}
	out.PerSource = r.choice("per", "source", "source", "rule").Value == "source"
	if f := r.frequency("limit", "20/second", out.Burst); f != nil {
		out.Limit = *f
	}
	return out
}

var units = map[string]int{
	"second": 1, "sec": 1, "s": 1,
	"minute": 60, "min": 60, "m": 60,
	"hour": 3600, "h": 3600,
	"day": 86400, "d": 86400,
}

// frequency reads a number over a time, such as "20/second".
func (b *block) frequency(name, example string, burst int) *Frequency {
	v, ok := b.text(name, example)
	if !ok {
		return nil
	}
	bad := func(format string, args ...any) *Frequency {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad %s %q", name, v.Value), format, args...)
		return nil
	}
	number, unit, _ := strings.Cut(v.Value, "/")
	count, err := strconv.ParseUint(number, 10, 31)
	seconds, known := units[unit]
	switch {
	case err != nil || number != fmt.Sprint(count) || count == 0:
		return bad("Write a whole number of 1 or more and a time: %q.", example)
	case !known:
		return bad("The time is \"second\", \"minute\", \"hour\" or \"day\": %q.%s", example, suggest.DidYouMean(unit, slices.Collect(maps.Keys(units))))
	case count > maxRateCount*uint64(seconds):
		return bad("The kernel counts up to %d a second.", maxRateCount)
	case uint64(burst)*uint64(seconds) > maxRefill*count:
		return bad("With a burst of %d this takes more than a day to refill, which the kernel refuses. Use a higher rate or a smaller burst.", burst)
	}
	return &Frequency{Count: int(count), Seconds: seconds}
}

var connectionsSchema = &hcl.BodySchema{Attributes: append(attributes("per_prefix_v4", "per_prefix_v6"), hcl.AttributeSchema{Name: "max", Required: true})}

func (b *block) connections() *Connections {
	c := b.single("connections", connectionsSchema)
	if c == nil {
		return nil
	}
	out := &Connections{DeclRange: c.header, PrefixV4: 32, PrefixV6: 128}
	for name, field := range map[string]*int{"max": &out.Max, "per_prefix_v4": &out.PrefixV4, "per_prefix_v6": &out.PrefixV6} {
		high := map[string]int{"max": maxConnections, "per_prefix_v4": 32, "per_prefix_v6": 128}[name]
		if n := c.integer(name, 1, high); n != nil {
			*field = n.Value
		}
	}
	return out
}

var logSchema = &hcl.BodySchema{Attributes: attributes("prefix", "level", "limit", "nflog_group")}

// Lengths of log prefixes in bytes, without the final NUL. More is cut silently
// (measured with iptables 1.8.9; NFLOG keeps 63 on the legacy backend).
const (
	maxLogPrefix   = 29
	maxNFLogPrefix = 63
)

var logLevels = []string{"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"}

// log reads a log block. Without a prefix the rule's name becomes it.
func (b *block) log(rule string) *Log {
	l := b.single("log", logSchema)
	if l == nil {
		return nil
	}
	out := &Log{DeclRange: l.header, Level: slices.Index(logLevels, "warning"), Limit: Frequency{Count: 10, Seconds: 60}}
	longest := maxLogPrefix
	if n := l.integer("nflog_group", 0, 1<<16-1); n != nil {
		group := uint16(n.Value)
		out.Group = &group
		longest = maxNFLogPrefix
	}
	out.Prefix = cut("dockerfw "+rule, longest-len(": ")) + ": "
	if p, ok := l.text("prefix", "dockerfw web: "); ok {
		out.Prefix = p.Value
		switch {
		case p.Value == "":
			l.error(diag.CodeValue, p.Range, "empty prefix", "iptables takes no empty prefix. Leave it out, and the rule's name is it.")
		case len(p.Value) > longest:
			l.error(diag.CodeValue, p.Range, "prefix too long", "It has %d bytes, and the kernel keeps %d.", len(p.Value), longest)
		case strings.ContainsFunc(p.Value, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
			l.error(diag.CodeValue, p.Range, "bad prefix", "A prefix has printable ASCII characters only, without \" and \\.")
		}
	}
	if level := l.choice("level", "warning", append(slices.Clone(logLevels), "err", "warn", "panic")...); l.has("level") {
		canonical := map[string]string{"err": "error", "warn": "warning", "panic": "emerg"}
		name := level.Value
		if other, ok := canonical[name]; ok {
			name = other
		}
		out.Level = slices.Index(logLevels, name)
		if out.Group != nil {
			l.error(diag.CodeConflict, level.Range, "level with nflog_group", "NFLOG has no levels. Leave one of the two out.")
		}
	}
	if f := l.frequency("limit", "10/minute", defaultBurst); f != nil {
		out.Limit = *f
	}
	return out
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// expirySoon is how long before its date check warns of a rule.
const expirySoon = 14 * 24 * time.Hour

// expires reads the date after which a rule is an error.
func (b *block) expires(r *Rule) *At[time.Time] {
	v, ok := b.text("expires", "2027-01-31")
	if !ok {
		return nil
	}
	end, err := time.Parse(time.DateOnly, v.Value)
	if err == nil {
		// A date means the whole of that day.
		end = end.Add(24 * time.Hour)
	} else if end, err = time.Parse(time.RFC3339, v.Value); err != nil {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad expires %q", v.Value), "Write an RFC 3339 date, such as \"2027-01-31\", or date and time, such as \"2027-01-31T18:00:00Z\".")
		return nil
	}
	switch {
	case !b.now.Before(end):
		b.error(diag.CodeExpired, v.Range, fmt.Sprintf("%s %q has expired", r.Kind, r.Name.Value), "Its last day was %s. Take the rule out, or give it a new date.", v.Value)
	case end.Sub(b.now) <= expirySoon:
		b.warn(diag.CodeExpiresSoon, v.Range, fmt.Sprintf("%s %q expires soon", r.Kind, r.Name.Value), "Past %s the policy will not compile any more. Take the rule out in time, or give it a new date.", v.Value)
	}
	if end.Year() > 9999 {
		end = end.Add(-time.Nanosecond) // the manifest's JSON takes no later year
	}
	return &At[time.Time]{end, v.Range}
}
