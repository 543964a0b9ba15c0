package snapshot

import (
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Limit is a rate or connections block in a rule of dockerfw.
type Limit struct {
	// Rate is a number of new connections in a unit of time, such as 20/second; "" for a limit of
	// concurrent connections. Burst is how many may come at once.
	Rate  string
	Burst int
	// Max is the number of concurrent connections.
	Max int
	// PerSource: each source is counted for itself, and PrefixLength groups sources.
	PerSource    bool
	PrefixLength int
	// Above: the condition holds above the limit.
	Above bool
}

// Who is whose connections are counted.
func (l Limit) Who(f ir.Family) string {
	full := 32
	if f == ir.IPv6 {
		full = 128
	}
	switch {
	case !l.PerSource:
		return "all clients together"
	case l.PrefixLength == full:
		return "the client"
	}
	return fmt.Sprintf("the client's /%d network", l.PrefixLength)
}

// key is the same for limits that are the same, with either target.
func (l Limit) key(f ir.Family) string {
	switch {
	case l.Rate == "":
		return fmt.Sprintf("%s has at most %d open connections", l.Who(f), l.Max)
	case l.PerSource:
		return fmt.Sprintf("%s stays within the rate %s with bursts of %d", l.Who(f), l.Rate, l.Burst)
	}
	return fmt.Sprintf("%s stay within the rate %s with bursts of %d", l.Who(f), l.Rate, l.Burst)
}

// ParseLimit reads the text of an opaque condition: a match of hashlimit or connlimit as dockerfw writes
// it, or limit or ct count of nft.
func ParseLimit(text string, f ir.Family) (l Limit, ok bool) {
	words := strings.Fields(text)
	after := func(word string) string {
		if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	if len(words) >= 3 && (words[0] == "hashlimit" || words[0] == "connlimit") {
		return iptablesLimit(words, after, f)
	}
	l.PrefixLength = map[ir.Family]int{ir.IPv4: 32, ir.IPv6: 128}[f]
	if len(words) > 2 && (words[0] == "ip" || words[0] == "ip6") && words[1] == "saddr" {
		l.PerSource = true
		if mask := after("&"); mask != "" {
			length, ok := maskLength(mask)
			if !ok {
				return l, false
			}
			l.PrefixLength = length
		}
	}
	number := func(text string, standard int) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			return standard
		}
		return n
	}
	switch {
	case after("limit") == "rate":
		l.Rate, ok = canonicalRate(after("rate"))
		l.Burst = number(after("burst"), defaultBurst)
		return l, ok
	case after("ct") == "count" && l.PerSource:
		l.Max = number(after("count"), -1)
		return l, l.Max >= 0
	}
	return l, false
}

// defaultBurst is that of hashlimit and of nft, which 1.0.6 does not print.
const defaultBurst = 5

func iptablesLimit(words []string, after func(string) string, f ir.Family) (l Limit, ok bool) {
	l.Above = strings.HasSuffix(words[1], "-above")
	l.PrefixLength = map[ir.Family]int{ir.IPv4: 32, ir.IPv6: 128}[f]
	switch words[1] {
	case "--hashlimit-upto", "--hashlimit-above":
		l.PerSource = after("--hashlimit-mode") == "srcip"
		l.Burst = defaultBurst
		if n, err := strconv.Atoi(after("--hashlimit-burst")); err == nil {
			l.Burst = n
		}
		l.Rate, ok = canonicalRate(words[2])
		return l, ok
	case "--connlimit-upto", "--connlimit-above":
		l.PerSource = true
		if n, err := strconv.Atoi(after("--connlimit-mask")); err == nil {
			l.PrefixLength = n
		}
		n, err := strconv.Atoi(words[2])
		l.Max = n
		return l, err == nil
	}
	return l, false
}

// unit is a unit of time of rates, with its name in iptables.
type unit struct {
	name, short string
	seconds     float64
}

// units are those of rates, the shortest first.
var units = []unit{
	{"second", "sec", 1}, {"minute", "min", 60}, {"hour", "hour", 3600}, {"day", "day", 86400}, {"week", "week", 604800},
}

// canonicalRate writes COUNT/UNIT with the shortest unit in which the count is whole. The kernel rounds
// rates of hashlimit.
func canonicalRate(text string) (string, bool) {
	count, per, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(count, 64)
	i := slices.IndexFunc(units, func(u unit) bool { return per == u.name || per == u.short })
	if err != nil || i < 0 || n <= 0 {
		return "", false
	}
	perSecond := n / units[i].seconds
	const tolerance = 1e-3
	for _, u := range units {
		whole := math.Round(perSecond * u.seconds)
		if whole >= 1 && math.Abs(whole-perSecond*u.seconds) <= tolerance*whole {
			return fmt.Sprintf("%.0f/%s", whole, u.name), true
		}
	}
	return text, true
}

// maskLength is the length of a mask, such as 255.255.255.0.
func maskLength(text string) (int, bool) {
	mask, err := netip.ParseAddr(text)
	if err != nil {
		return 0, false
	}
	n := 0
	for _, b := range mask.AsSlice() {
		n += bits.LeadingZeros8(^b)
		if b != 0xff {
			break
		}
	}
	return n, true
}

// WithLimitsByBlock is a program of the host whose limits are conditions that its rules of one block
// share, with numbers and the name of the block: those of a host with the other target are the same.
func (h *Host) WithLimitsByBlock(p *packet.Program) *packet.Program {
	return p.Map(func(r *packet.Rule, c packet.Cond) packet.Cond {
		o, ok := c.(packet.Opaque)
		rule := h.RuleAt(p.Family, r.At)
		if !ok || !rule.Ours() {
			return c
		}
		l, ok := ParseLimit(o.Text, p.Family)
		if !ok {
			return c
		}
		var out packet.Cond = packet.Opaque{Text: l.key(p.Family) + ", of " + rule.Block()}
		if l.Above {
			out = packet.Not{C: out}
		}
		return out
	})
}
