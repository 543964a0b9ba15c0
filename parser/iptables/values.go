package iptables

import (
	"fmt"
	"strconv"
	"strings"
)

// portRange normalizes a range of ports: 80:80 becomes 80, and a missing end 0 or
// 65535.
func portRange(f Family, s string) string {
	if from, to, found := strings.Cut(s, ":"); found {
		if from == "" {
			from = "0"
		}
		if to == "" {
			to = "65535"
		}
		s = from + ":" + to
	}
	return sameRange(f, s)
}

// sameRange normalizes a range: N:N becomes N.
func sameRange(_ Family, s string) string {
	from, to, found := strings.Cut(s, ":")
	if f, err := strconv.ParseUint(from, 10, 32); err == nil {
		from = strconv.FormatUint(f, 10)
	}
	if !found {
		return from
	}
	if t, err := strconv.ParseUint(to, 10, 32); err == nil {
		to = strconv.FormatUint(t, 10)
	}
	if from == to {
		return from
	}
	return from + ":" + to
}

func lengths(f Family, s string) string { return portRange(f, s) }

// mark normalizes a value with a mask to hexadecimal; the full mask is left out.
func mark(_ Family, s string) string {
	value, mask, ok := parseMark(s)
	switch {
	case !ok:
		return s
	case mask == 1<<32-1:
		return fmt.Sprintf("%#x", value)
	}
	return fmt.Sprintf("%#x/%#x", value, mask)
}

func parseMark(s string) (value, mask uint32, ok bool) {
	v, m, found := strings.Cut(s, "/")
	value64, err1 := parseC(v, 32)
	mask64, err2 := uint64(1<<32-1), error(nil)
	if found {
		mask64, err2 = parseC(m, 32)
	}
	return uint32(value64), uint32(mask64), err1 == nil && err2 == nil
}

// rate normalizes N/UNIT. iptables keeps the time between two packets in units of 1/scale
// seconds, and prints the shortest unit that loses little: docs/contributing/netfilter.md,
// "Rates".
func rate(scale uint64) func(Family, string) string {
	return func(_ Family, s string) string {
		units := []struct {
			long, short string
			mult        uint64
		}{
			{"day", "day", scale * 86400},
			{"hour", "hour", scale * 3600},
			{"minute", "min", scale * 60},
			{"second", "sec", scale},
		}
		number, unit, found := strings.Cut(s, "/")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n == 0 || found && unit == "" {
			return s
		}
		mult := scale
		if found {
			mult = 0
			for _, u := range units {
				if strings.HasPrefix(u.long, strings.ToLower(unit)) {
					mult = u.mult
				}
			}
		}
		period := mult / n
		if period == 0 {
			return s
		}
		best := units[0]
		for _, u := range units[1:] {
			if period > u.mult || u.mult/period < u.mult%period {
				break
			}
			best = u
		}
		return fmt.Sprintf("%d/%s", best.mult/period, best.short)
	}
}

func hashlimitMode(_ Family, s string) string {
	return inOrder([]string{"srcip", "srcport", "dstip", "dstport"}, strings.Split(strings.ToLower(s), ","), s)
}

// clock normalizes hh:mm to hh:mm:ss.
func clock(_ Family, s string) string {
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = append(parts, "00")
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return s
		}
		parts[i] = fmt.Sprintf("%02d", n)
	}
	return strings.Join(parts, ":")
}

func weekdays(_ Family, s string) string {
	days := []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	words := strings.Split(s, ",")
	for i, w := range words {
		if n, err := strconv.Atoi(w); err == nil && 1 <= n && n <= 7 {
			words[i] = days[n-1]
			continue
		}
		for _, d := range days {
			if len(w) >= 2 && strings.EqualFold(w[:2], d[:2]) {
				words[i] = d
			}
		}
	}
	return inOrder(days, words, s)
}

func logLevel(_ Family, s string) string {
	levels := [][]string{
		{"emerg", "panic"},
		{"alert"},
		{"crit"},
		{"err", "error"},
		{"warning", "warn"},
		{"notice"},
		{"info"},
		{"debug"},
	}
	for n, names := range levels {
		for _, name := range names {
			if strings.EqualFold(name, s) {
				return strconv.Itoa(n)
			}
		}
	}
	return s
}

// rejectWith replaces short names of answers by full ones.
func rejectWith(f Family, s string) string {
	long := map[string]string{
		"net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable",
		"proto-unreach": "icmp-proto-unreachable", "port-unreach": "icmp-port-unreachable",
		"net-prohib": "icmp-net-prohibited", "host-prohib": "icmp-host-prohibited",
		"admin-prohib": "icmp-admin-prohibited", "tcp-rst": "tcp-reset",
	}
	if f == IPv6 {
		long = map[string]string{
			"no-route": "icmp6-no-route", "adm-prohibited": "icmp6-adm-prohibited",
			"addr-unreach": "icmp6-addr-unreachable", "port-unreach": "icmp6-port-unreachable",
			"policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route", "tcp-rst": "tcp-reset",
		}
	}
	if l, ok := long[strings.ToLower(s)]; ok {
		return l
	}
	return s
}

func icmpType(_ Family, s string) string  { return icmpNumber(icmpTypes, s) }
func icmp6Type(_ Family, s string) string { return icmpNumber(icmp6Types, s) }

func icmpNumber(names map[string]string, s string) string {
	if n, ok := names[strings.ToLower(s)]; ok {
		return n
	}
	return s
}

var icmpTypes = map[string]string{
	"255": "any", "echo-reply": "0", "pong": "0",
	"destination-unreachable": "3", "network-unreachable": "3/0", "host-unreachable": "3/1",
	"protocol-unreachable": "3/2", "port-unreachable": "3/3", "fragmentation-needed": "3/4",
	"source-route-failed": "3/5", "network-unknown": "3/6", "host-unknown": "3/7",
	"network-prohibited": "3/9", "host-prohibited": "3/10", "tos-network-unreachable": "3/11",
	"tos-host-unreachable": "3/12", "communication-prohibited": "3/13",
	"host-precedence-violation": "3/14", "precedence-cutoff": "3/15",
	"source-quench": "4", "redirect": "5", "network-redirect": "5/0", "host-redirect": "5/1",
	"tos-network-redirect": "5/2", "tos-host-redirect": "5/3", "echo-request": "8", "ping": "8",
	"router-advertisement": "9", "router-solicitation": "10", "time-exceeded": "11", "ttl-exceeded": "11",
	"ttl-zero-during-transit": "11/0", "ttl-zero-during-reassembly": "11/1", "parameter-problem": "12",
	"ip-header-bad": "12/0", "required-option-missing": "12/1", "timestamp-request": "13",
	"timestamp-reply": "14", "address-mask-request": "17", "address-mask-reply": "18",
}

var icmp6Types = map[string]string{
	"destination-unreachable": "1", "no-route": "1/0", "communication-prohibited": "1/1", "beyond-scope": "1/2",
	"address-unreachable": "1/3", "port-unreachable": "1/4", "failed-policy": "1/5", "reject-route": "1/6",
	"packet-too-big": "2", "time-exceeded": "3", "ttl-exceeded": "3", "ttl-zero-during-transit": "3/0",
	"ttl-zero-during-reassembly": "3/1", "parameter-problem": "4", "bad-header": "4/0",
	"unknown-header-type": "4/1", "unknown-option": "4/2", "echo-request": "128", "ping": "128",
	"echo-reply": "129", "pong": "129", "mld-listener-query": "130", "mld-listener-report": "131",
	"mld-listener-done": "132", "mld-listener-reduction": "132", "router-solicitation": "133",
	"router-advertisement": "134", "neighbour-solicitation": "135", "neighbor-solicitation": "135",
	"neighbour-advertisement": "136", "neighbor-advertisement": "136", "redirect": "137",
}
