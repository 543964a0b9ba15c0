package compiler

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

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
		rate := canonicalRate(r.Limit, hashLimitScale)
		out = append(out, ir.HashLimit{
			Above:     above,
			Rate:      rate,
			Burst:     r.Burst,
			PerSource: r.PerSource,
			Name:      hashLimitName(use, cl.name, rate, r),
		})
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
func hashLimitName(use, rule string, rate ir.Rate, r *parser.Rate) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%s %d/%s %d %t", use, rule, rate.Count, rate.Unit, r.Burst, r.PerSource))
	return "dfw-" + rule[:min(len(rule), 4)] + "-" + hex.EncodeToString(sum[:3])
}

// The steps a second has in the rates of -m limit and of -m hashlimit.
const (
	limitScale     = 10_000
	hashLimitScale = 1_000_000
)

var rateUnits = []struct {
	unit    ir.Unit
	seconds int
}{{ir.PerDay, 86400}, {ir.PerHour, 3600}, {ir.PerMinute, 60}, {ir.PerSecond, 1}}

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
