package compiler

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
)

func portRanges(ports []parser.Ports) []ir.PortRange {
	var out []ir.PortRange
	for _, p := range ports {
		out = append(out, ir.PortRange{First: p.First, Last: p.Last})
	}
	return out
}

func rate(r *parser.Rate) *ir.Rate {
	if r == nil {
		return nil
	}
	return &ir.Rate{Frequency: frequency(r.Limit), Burst: r.Burst, PerSource: r.PerSource}
}

func connections(c *parser.Connections, f ir.Family) *ir.Connections {
	switch {
	case c == nil:
		return nil
	case f == ir.IPv6:
		return &ir.Connections{Max: c.Max, PrefixLength: c.PrefixV6}
	}
	return &ir.Connections{Max: c.Max, PrefixLength: c.PrefixV4}
}

func logging(l *parser.Log) *ir.Log {
	if l == nil {
		return nil
	}
	return &ir.Log{Prefix: l.Prefix, Level: l.Level, Group: l.Group, Limit: frequency(l.Limit)}
}

func frequency(f parser.Frequency) ir.Frequency {
	return ir.Frequency{Count: f.Count, Seconds: f.Seconds}
}
