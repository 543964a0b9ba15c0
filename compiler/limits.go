package compiler

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
)

// defaultLimitBurst is the burst of -m limit.
const defaultLimitBurst = 5

// limits are the limits of a clause: up to them for an accept, above them for a
// deny. Each use of them counts for itself: a rule that logs asks its own copies,
// so that the rule that decides does not find its own used up.
func (cl *clause) limits(use string) []ir.Match {
	above := cl.phase == ir.Deny
	var out []ir.Match
	if r := cl.rate; r != nil {
		m := ir.HashLimit{
			Above:     above,
			Rate:      canonicalRate(r.Limit, hashLimitScale),
			Burst:     r.Burst,
			PerSource: r.PerSource,
		}
		m.Expire = expiry(m.Rate, m.Burst)
		m.Name = hashLimitName(use, cl.name, m)
		out = append(out, m)
	}
	if c := cl.connections; c != nil {
		length := c.PrefixV4
		if cl.family == ir.IPv6 {
			length = c.PrefixV6
		}
		out = append(out, ir.ConnLimit{Above: above, Max: c.Max, PrefixLength: length})
	}
	return out
}

// hashLimitName names the table that counts, within the 15 bytes the kernel takes.
// It depends on the limit itself: rules loaded over older ones share the older
// one's table, and with it its rate, while the name stays (measured: Linux 6.18,
// both backends).
func hashLimitName(use, rule string, m ir.HashLimit) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%s %d/%s %d %t %d", use, rule, m.Rate.Count, m.Rate.Unit, m.Burst, m.PerSource, m.Expire))
	return "dfw-" + rule[:min(len(rule), 4)] + "-" + hex.EncodeToString(sum[:3])
}

// expiry is the time after which a count may be forgotten: the one in which the burst
// is whole again by itself. The kernel forgets it after one unit of the rate unless
// told otherwise, and the burst comes back at once (measured: Linux 6.18, both
// backends: of 1/sec with a burst of 30 a source got 30 more after each pause of 2 s).
func expiry(r ir.Rate, burst int) int {
	i := slices.IndexFunc(rateUnits, func(u rateUnit) bool { return u.unit == r.Unit })
	unit := rateUnits[i].seconds
	if whole := (burst*unit + r.Count - 1) / r.Count; whole > unit {
		return whole
	}
	return 0
}

// The steps a second has in the rates of -m limit and of -m hashlimit.
const (
	limitScale     = 10_000
	hashLimitScale = 1_000_000
)

type rateUnit struct {
	unit    ir.Unit
	seconds int
}

var rateUnits = []rateUnit{{ir.PerDay, 86400}, {ir.PerHour, 3600}, {ir.PerMinute, 60}, {ir.PerSecond, 1}}

// canonicalRate writes a rate as iptables-save prints it: the kernel keeps the
// time between two packets, and the tool shows that in the shortest unit that
// still comes close (60/min is printed as 1/sec).
func canonicalRate(f parser.Frequency, scale int) ir.Rate {
	period := scale * f.Seconds / f.Count
	i := 1
	for ; i < len(rateUnits); i++ {
		unit := scale * rateUnits[i].seconds
		if period > unit || unit/period < unit%period {
			break
		}
	}
	shown := rateUnits[i-1]
	return ir.Rate{Count: scale * shown.seconds / period, Unit: shown.unit}
}

func logVerdict(l *parser.Log) ir.Verdict {
	if l.Group != nil {
		return ir.NFLog{Prefix: l.Prefix, Group: *l.Group}
	}
	return ir.Log{Prefix: l.Prefix, Level: l.Level}
}
