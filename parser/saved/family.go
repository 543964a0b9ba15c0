package saved

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

// found is a word of a rule with its line.
type found struct {
	line int // from 0
	text string
}

// evidence has words that show the family of rules. Words that only one family accepts
// are strong evidence. A protocol is weak evidence: rules of the other family may have it
// too, even though no packet matches them.
type evidence struct {
	strong, weak map[iptables.Family]found
}

func (e *evidence) add(f iptables.Family, strong bool, at found) {
	m := &e.weak
	if strong {
		m = &e.strong
	}
	if *m == nil {
		*m = map[iptables.Family]found{}
	}
	if _, ok := (*m)[f]; !ok {
		(*m)[f] = at
	}
}

// family returns the family that the evidence shows, or 0 if there is none. If the
// evidence is contradictory, it returns one word for each family instead.
func (e *evidence) family() (f iptables.Family, contradiction []found) {
	for _, m := range []map[iptables.Family]found{e.strong, e.weak} {
		switch v4, v6 := m[iptables.IPv4], m[iptables.IPv6]; {
		case len(m) == 2:
			return 0, []found{v4, v6}
		case len(m) == 1 && v4.text != "":
			return iptables.IPv4, nil
		case len(m) == 1:
			return iptables.IPv6, nil
		}
	}
	return 0, nil
}

// addressOptions are options with an address, prefix, range, or address and port.
var addressOptions = []string{
	"-s", "--src", "--source", "-d", "--dst", "--destination", "--to-destination", "--to-source", "--to",
	"--src-range", "--dst-range", "--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst", "--gateway", "--on-ip",
}

// familyWords are values of options that only one family accepts.
var familyWords = map[string]map[string]iptables.Family{
	"-m": {
		"icmp": iptables.IPv4, "ttl": iptables.IPv4, "realm": iptables.IPv4,
		"icmp6": iptables.IPv6, "icmpv6": iptables.IPv6, "hl": iptables.IPv6, "ipv6header": iptables.IPv6, "ipv6-icmp": iptables.IPv6,
		"rt": iptables.IPv6, "frag": iptables.IPv6, "hbh": iptables.IPv6, "dst": iptables.IPv6, "mh": iptables.IPv6, "eui64": iptables.IPv6,
	},
	"-j": {
		"TTL": iptables.IPv4, "CLUSTERIP": iptables.IPv4,
		"HL": iptables.IPv6, "SNPT": iptables.IPv6, "DNPT": iptables.IPv6,
	},
}

// rule collects evidence from the words of a rule. It returns the words that were
// redacted: they are where an address or interface should be.
func (e *evidence) rule(number int, line string) (redacted []found) {
	words := splitWords(line)
	if slices.Contains(words, "-4") || slices.Contains(words, "-6") {
		return nil // ip6tables-restore or iptables-restore skips the line
	}
	for i := 0; i+1 < len(words); i++ {
		option, value := words[i], words[i+1]
		at := found{number, option + " " + value}
		switch {
		case slices.Contains(addressOptions, option):
			if f := addressFamily(value); f != 0 {
				e.add(f, true, at)
			} else if option != "--to" && isRedacted(value) {
				redacted = append(redacted, found{number, value})
			}
		case option == "--icmp-type":
			e.add(iptables.IPv4, true, at)
		case option == "--icmpv6-type":
			e.add(iptables.IPv6, true, at)
		case option == "--reject-with" && strings.HasPrefix(value, "icmp-"):
			e.add(iptables.IPv4, true, at)
		case option == "--reject-with" && strings.HasPrefix(value, "icmp6-"):
			e.add(iptables.IPv6, true, at)
		case option == "-p" && (value == "ipv6-icmp" || value == "icmpv6" || value == "icmp6" || value == "58"):
			e.add(iptables.IPv6, false, at)
		case option == "-p" && (value == "icmp" || value == "1"):
			e.add(iptables.IPv4, false, at)
		case (option == "-i" || option == "-o") && placeholder.MatchString(value):
			redacted = append(redacted, found{number, value})
		default:
			if f := familyWords[option][value]; f != 0 {
				e.add(f, true, at)
			}
		}
	}
	return redacted
}

// splitWords splits a rule at spaces and tabs. A quoted word, which is a comment or a
// string to search for in packets, becomes an empty one.
func splitWords(line string) []string {
	if strings.IndexByte(line, '"') < 0 {
		return fields(line)
	}
	var out []string
	for rest := line; ; {
		before, after, quoted := strings.Cut(rest, `"`)
		out = append(out, fields(before)...)
		if !quoted {
			return out
		}
		out = append(out, "")
		end := 0
		for end < len(after) && after[end] != '"' {
			if after[end] == '\\' {
				end++
			}
			end++
		}
		rest = after[min(end+1, len(after)):]
	}
}

// fields splits at spaces and tabs.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' })
}

// addressFamily returns the family of an address, prefix, range or address with a port; 0
// if s is none of them.
func addressFamily(s string) iptables.Family {
	s, _, _ = strings.Cut(s, ",")
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, "-")
	if in, _, ok := strings.Cut(strings.TrimPrefix(s, "["), "]"); ok {
		s = in
	} else if host, _, ok := strings.Cut(s, ":"); ok && strings.Count(s, ":") == 1 {
		s = host
	}
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return 0
	case a.Is4():
		return iptables.IPv4
	}
	return iptables.IPv6
}

var (
	// placeholder matches a placeholder for a name or an address, optionally followed by
	// a prefix length or a port.
	placeholder = regexp.MustCompile(`(?i)^(<[^>]*>|\[[^\]:]*\]|\{.*\}|\$.*|\*+|x+|#+|[-_]*(redacted|masked|hidden|removed|anonymi[sz]ed|censored|(your|my|public|server|host)?[-_.]?ip)([-_.]?\d+)?[-_]*)([/:-].*)?$`)
	// quad, abcd and six match addresses with masked parts: 192.0.2.x, a.b.c.d, 2001:db8:x::1.
	quad = regexp.MustCompile(`(?i)^([0-9]{0,3}[x*#?_y]*\.){3}[0-9]{0,3}[x*#?_y]*([/:-].*)?$`)
	abcd = regexp.MustCompile(`(?i)^a+\.b+\.c+\.d+([/:-].*)?$`)
	six  = regexp.MustCompile(`(?i)^\[?[0-9a-fx#*?_]{0,4}(:[0-9a-fx#*?_]{0,4}){2,7}\]?([/-].*)?$`)
	mask = regexp.MustCompile(`(?i)[x*#?_y]`)
)

// isRedacted reports whether s is an address of which all or parts were replaced.
func isRedacted(s string) bool {
	if addressFamily(s) != 0 {
		return false
	}
	return placeholder.MatchString(s) || abcd.MatchString(s) ||
		mask.MatchString(s) && (quad.MatchString(s) || six.MatchString(s))
}
