package iptables

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// limits returns the matches of a rule's limits: up to the limit for an accept, above it
// for a deny. Each use counts separately: the logging rule has counters of its own, so that
// it does not consume those of the rule with the verdict.
func (e *expansion) limits(use string) []Match {
	above := e.Phase == ir.PhaseDeny
	var out []Match
	if r := e.Rate; r != nil {
		m := HashLimit{
			Above:     above,
			Rate:      canonicalRate(r.Frequency, hashLimitScale),
			Burst:     r.Burst,
			PerSource: r.PerSource,
		}
		m.Expire = expiry(m.Rate, m.Burst)
		m.Name = hashLimitName(use, e.Name, m)
		out = append(out, m)
	}
	if c := e.Connections; c != nil {
		out = append(out, ConnLimit{Above: above, Max: c.Max, PrefixLength: c.PrefixLength})
	}
	return out
}

// hashLimitName returns the name of the hashlimit table, at most 15 bytes. It includes a
// digest of the limit, because an existing table keeps its old rate as long as its name is
// the same: docs/contributing/netfilter.md, "Hashlimit tables".
func hashLimitName(use, rule string, m HashLimit) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%s %d/%s %d %t %d", use, rule, m.Rate.Count, m.Rate.Unit, m.Burst, m.PerSource, m.Expire))
	return "dfw-" + rule[:min(len(rule), 4)] + "-" + hex.EncodeToString(sum[:3])
}

// expiry returns the seconds after which the kernel may delete an idle entry: the time in
// which the burst refills. Without it the kernel deletes the entry after one unit of the
// rate, and a source that pauses gets the full burst too early:
// docs/contributing/netfilter.md, "Hashlimit tables".
func expiry(r Rate, burst int) int {
	i := slices.IndexFunc(rateUnits, func(u rateUnit) bool { return u.unit == r.Unit })
	unit := rateUnits[i].seconds
	if whole := (burst*unit + r.Count - 1) / r.Count; whole > unit {
		return whole
	}
	return 0
}

// Units per second in which the kernel stores the rates of -m limit and -m hashlimit.
const (
	limitScale     = 10_000
	hashLimitScale = 1_000_000
)

type rateUnit struct {
	unit    Unit
	seconds int
}

var rateUnits = []rateUnit{{PerDay, 86400}, {PerHour, 3600}, {PerMinute, 60}, {PerSecond, 1}}

// canonicalRate returns a rate as iptables-save prints it: the kernel stores the time
// between two packets, and iptables converts it to the shortest unit that is a close
// approximation (60/min is printed as 1/sec).
func canonicalRate(f ir.Frequency, scale int) Rate {
	period := scale * f.Seconds / f.Count
	i := 1
	for ; i < len(rateUnits); i++ {
		unit := scale * rateUnits[i].seconds
		if period > unit || unit/period < unit%period {
			break
		}
	}
	shown := rateUnits[i-1]
	return Rate{Count: scale * shown.seconds / period, Unit: shown.unit}
}

// logVerdict returns the LOG or NFLOG verdict.
func logVerdict(l *ir.Log) Verdict {
	if l.Group != nil {
		return NFLog{Prefix: l.Prefix, Group: *l.Group}
	}
	return Log{Prefix: l.Prefix, Level: l.Level}
}
