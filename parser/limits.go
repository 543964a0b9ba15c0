package parser

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// Bounds of limits.
const (
	// maxBurst is far above any useful burst, and within the range of the kernel.
	maxBurst = 10000
	// maxRateCount is the most that -m limit accepts for a second; it counts in units of
	// 1/10000 second.
	maxRateCount = 10000
	// maxRefill bounds the time in seconds in which a whole burst is refilled. The kernel
	// counts credits in 32 bits, scaled so that a day fits: "--limit 3/day" with burst 5
	// fails on iptables-legacy.
	maxRefill = 86400
	// defaultBurst is that of iptables.
	defaultBurst = 5
	// maxConnections is more than fits into a conntrack table.
	maxConnections = 1 << 24
)

func (b *block) rate() *Rate {
	r := b.nested("rate")
	if r == nil {
		return nil
	}
	out := &Rate{DeclRange: r.decl.DefRange, Burst: r.integerOr("burst"), PerSource: r.choice("per").Value == "source"}
	if f := r.frequency("limit", out.Burst); f != nil {
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
func (b *block) frequency(name string, burst int) *Frequency {
	v, ok := b.text(name)
	if !ok {
		return nil
	}
	example := b.example(name)
	bad := func(format string, args ...any) *Frequency {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad %s %q", name, v.Value), format, args...)
		return nil
	}
	number, unit, _ := strings.Cut(v.Value, "/")
	count, err := strconv.ParseUint(number, 10, 31)
	seconds, known := units[unit]
	switch {
	case err != nil || number != fmt.Sprint(count) || count == 0:
		return bad("Write a whole number of 1 or more and a time: %s.", example)
	case !known:
		return bad("The time is \"second\", \"minute\", \"hour\" or \"day\": %s.%s", example, suggest.DidYouMean(unit, slices.Collect(maps.Keys(units))))
	case count > maxRateCount*uint64(seconds):
		return bad("The kernel allows at most %d/second.", maxRateCount)
	case uint64(burst)*uint64(seconds) > maxRefill*count:
		return bad("A burst of %d would take more than a day to refill, which the kernel refuses. Use a higher rate or a smaller burst.", burst)
	}
	return &Frequency{Count: int(count), Seconds: seconds}
}

func (b *block) connections() *Connections {
	c := b.nested("connections")
	if c == nil {
		return nil
	}
	return &Connections{
		DeclRange: c.decl.DefRange,
		Max:       c.integerOr("max"), PrefixV4: c.integerOr("per_prefix_v4"), PrefixV6: c.integerOr("per_prefix_v6"),
	}
}

// Lengths of log prefixes in bytes, without the final NUL. iptables truncates longer ones
// silently: docs/contributing/netfilter.md, "Lengths of names and texts".
const (
	maxLogPrefix   = 29
	maxNFLogPrefix = 63
	maxNFLogGroup  = 1<<16 - 1
)

var logLevels = []string{"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"}

// log reads a log block. Without a prefix the rule's name becomes it.
func (b *block) log(rule string) *Log {
	l := b.nested("log")
	if l == nil {
		return nil
	}
	out := &Log{DeclRange: l.decl.DefRange, Level: slices.Index(logLevels, "warning"), Limit: Frequency{Count: 10, Seconds: 60}}
	longest := maxLogPrefix
	if n := l.integer("nflog_group"); n != nil {
		group := uint16(n.Value)
		out.Group = &group
		longest = maxNFLogPrefix
	}
	out.Prefix = cut("dockerfw "+rule, longest-len(": ")) + ": "
	if p, ok := l.text("prefix"); ok {
		out.Prefix = p.Value
		switch {
		case p.Value == "":
			l.error(diag.CodeValue, p.Range, "empty prefix", "Leave prefix out to use the rule's name.")
		case len(p.Value) > longest:
			l.error(diag.CodeValue, p.Range, "prefix too long", "It has %d bytes, and the kernel keeps only %d.", len(p.Value), longest)
		case strings.ContainsFunc(p.Value, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
			l.error(diag.CodeValue, p.Range, "bad prefix", "A prefix has printable ASCII characters only, without \" and \\.")
		case b.target == TargetNFTables && strings.Contains(p.Value, "$"):
			l.error(diag.CodeValue, p.Range, "bad prefix", "nft takes what follows $ for the name of a variable. Leave $ out.")
		}
	}
	if level := l.choice("level"); l.has("level") {
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
	if f := l.frequency("limit", defaultBurst); f != nil {
		out.Limit = *f
	}
	return out
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// expirySoon is how long before a rule ends a warning is reported.
const expirySoon = 14 * 24 * time.Hour

// The years in which a rule may end, with either target: iptables accepts none after 2038, and reads
// the first second of 1970 as no end (docs/contributing/netfilter.md, "The last second of a rule").
const (
	firstEndYear = 1971
	lastEndYear  = 2038
)

// expires reads the end of a rule: the first second in which it does not match. Only of an
// enabled rule is there a warning.
func (b *block) expires(r *Rule, enabled bool) *At[time.Time] {
	v, ok := b.text("expires")
	if !ok {
		return nil
	}
	bad := func(detail string, args ...any) *At[time.Time] {
		b.error(diag.CodeValue, v.Range, fmt.Sprintf("bad expires %q", v.Value), detail, args...)
		return nil
	}
	end, err := time.Parse(time.DateOnly, v.Value)
	if err == nil {
		// A date means the whole of that day.
		end = end.Add(24 * time.Hour)
	} else if end, err = time.Parse(time.RFC3339, v.Value); err != nil {
		return bad("Write an RFC 3339 date, such as \"2027-01-31\", or date and time, such as \"2027-01-31T18:00:00Z\".")
	}
	end = end.UTC()
	last := end.Add(-time.Second)
	switch {
	case end.Nanosecond() != 0:
		return bad("The kernel counts whole seconds. Write %q.", end.Truncate(time.Second).Format(time.RFC3339))
	case last.Year() < firstEndYear || last.Year() > lastEndYear:
		return bad("An end is in the years %d to %d. For a rule without an end, leave expires out.", firstEndYear, lastEndYear)
	case !enabled:
	case !b.now.Before(end):
		b.warn(diag.CodeExpired, v.Range, fmt.Sprintf("%s %q has expired", r.Kind, r.Name.Value), "It ended with %s and no longer matches any packet. Remove the rule, or set a new date.", v.Value)
	case end.Sub(b.now) <= expirySoon:
		b.warn(diag.CodeExpiresSoon, v.Range, fmt.Sprintf("%s %q expires soon", r.Kind, r.Name.Value), "After %s it no longer matches any packet, on the host too. Remove the rule, or set a new date.", v.Value)
	}
	return &At[time.Time]{end, v.Range}
}
