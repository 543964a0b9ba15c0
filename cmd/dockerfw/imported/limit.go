package imported

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// limit is a rate or connections block.
type limit struct {
	// rate is as in "20/second"; "" for a limit of open connections, max.
	rate, burst, per string
	max, prefix      string
}

// limitOf returns the limit of a rule, and otherwise why the language does not have it.
func limitOf(r *flat, l *literals) (*limit, string) {
	if !l.limited && len(r.limits) == 0 {
		return nil, ""
	}
	if len(r.limits) != 1 {
		return nil, "a block has one limit"
	}
	m, refuses := r.limits[0], r.verdict.String() == "drop" || strings.HasPrefix(r.verdict.String(), "reject")
	value := func(name string) string {
		if o := m.Option(name); o != nil && !o.Not {
			return o.Value()
		}
		return ""
	}
	switch m.Name {
	case "limit":
		rate, ok := rateText(value("--limit"), value("--limit-burst"))
		if !ok || refuses {
			return nil, "a deny refuses what is above a limit, and -m limit matches what is below it"
		}
		return &limit{rate: rate, burst: value("--limit-burst"), per: "rule"}, ""
	case "hashlimit":
		upto, above := value("--hashlimit-upto"), value("--hashlimit-above")
		if upto == "" {
			upto = value("--hashlimit")
		}
		text := upto
		if refuses {
			text = above
		}
		rate, ok := rateText(text, value("--hashlimit-burst"))
		mode := value("--hashlimit-mode")
		if !ok || mode != "" && mode != "srcip" || m.Option("--hashlimit-srcmask") != nil {
			return nil, "a rate counts new connections of each source address, or of the rule"
		}
		per := "rule"
		if mode == "srcip" {
			per = "source"
		}
		return &limit{rate: rate, burst: value("--hashlimit-burst"), per: per}, ""
	case "connlimit":
		n := value("--connlimit-upto")
		if refuses {
			n = value("--connlimit-above")
		}
		max, err := strconv.Atoi(n)
		mask := value("--connlimit-mask")
		bits, bad := strconv.Atoi(cmp.Or(mask, "1"))
		if err != nil || max < 1 || max > 1<<24 || bad != nil || bits < 1 || m.Option("--connlimit-daddr") != nil {
			return nil, "an accept is for up to a number of connections of a source or a prefix, a deny above it"
		}
		return &limit{max: n, prefix: mask}, ""
	}
	return nil, fmt.Sprintf("there is nothing for -m %s", m.Name)
}

// limitAbove is the limit of a deny for packets above the one of another rule.
func limitAbove(m *iptables.Match) (*limit, string) {
	contrary := *m
	contrary.Options = slices.Clone(m.Options)
	for i := range contrary.Options {
		if to, ok := map[string]string{"--hashlimit": "--hashlimit-above", "--hashlimit-upto": "--hashlimit-above", "--connlimit-upto": "--connlimit-above"}[contrary.Options[i].Name]; ok {
			contrary.Options[i].Name = to
			return limitOf(&flat{limits: []*iptables.Match{&contrary}, verdict: packet.Verdict{Kind: packet.Drop}}, &literals{limited: true})
		}
	}
	return nil, "a deny refuses what is above a rate of each source, and -m " + m.Name + " counts otherwise"
}

// rateText is a rate of iptables as the language has it: 20/sec is 20/second. ok is false if the
// language, or the kernel, does not have it.
func rateText(text, burst string) (_ string, ok bool) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	most := 5 // what iptables takes where none is written
	if burst != "" {
		var bad error
		if most, bad = strconv.Atoi(burst); bad != nil {
			return "", false
		}
	}
	if err != nil || n < 1 || most < 1 || most > 10000 {
		return "", false
	}
	const day = 24 * 60 * 60
	for _, long := range []struct {
		name    string
		seconds int
	}{{"second", 1}, {"minute", 60}, {"hour", 60 * 60}, {"day", day}} {
		if strings.HasPrefix(long.name, strings.ToLower(unit)) {
			// docs/language.md, rate: up to 10000 a second, and a burst is restored within a day.
			return fmt.Sprintf("%d/%s", n, long.name), n <= 10000*long.seconds && most*long.seconds <= day*n
		}
	}
	return "", false
}

// logAttributes are the attributes of a log block for a LOG or NFLOG rule.
func logAttributes(r *iptables.Rule) []string {
	var out []string
	value := func(name string) string {
		for i := range r.Target {
			if r.Target[i].Name == name {
				return r.Target[i].Value()
			}
		}
		return ""
	}
	group := value("--nflog-group")
	prefix, most := value("--log-prefix"), 29
	if r.Jump == "NFLOG" {
		prefix, most = value("--nflog-prefix"), 63
	}
	if prefix != "" && len(prefix) <= most && !strings.ContainsAny(prefix, "\"\\$%") && printable(prefix) {
		out = append(out, fmt.Sprintf("prefix = %q", prefix))
	}
	if r.Jump == "NFLOG" {
		if group == "" {
			group = "0"
		}
		out = append(out, "nflog_group = "+group)
	}
	for i := range r.Matches {
		if o := r.Matches[i].Option("--limit"); r.Matches[i].Name == "limit" && o != nil {
			if rate, ok := rateText(o.Value(), ""); ok {
				out = append(out, fmt.Sprintf("limit = %q", rate))
			}
		}
	}
	return out
}

func printable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
