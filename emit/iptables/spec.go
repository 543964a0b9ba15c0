package iptables

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Spec returns the text of a rule after "-A CHAIN ", exactly as iptables-save prints it, so
// that a compiled file compares equal with the saved rules of a host.
func Spec(r *Rule) string {
	words := make([]string, 0, len(r.Matches)+3)
	for _, m := range r.Matches {
		words = append(words, match(m))
	}
	words = append(words, "-m comment --comment", quote(r.ID.Comment()), verdict(r.Verdict))
	return strings.Join(words, " ")
}

// match returns the text of one match, with its options in the order of iptables-save.
func match(m Match) string {
	switch m := m.(type) {
	case Address:
		return not(m.Not) + addressFlag(m.Dir) + " " + m.Prefix.Masked().String()
	case Interface:
		flag := "-i"
		if m.Dir == Dst {
			flag = "-o"
		}
		return flag + " " + m.Name
	case Protocol:
		return "-p " + protocol(m.Number)
	case Ports:
		text := "-m " + protocol(m.Protocol)
		if m.Src != nil {
			text += " --sport " + ports(*m.Src)
		}
		if m.Dst != nil {
			text += " --dport " + ports(*m.Dst)
		}
		return text
	case ICMP:
		text := fmt.Sprintf("-m icmp --icmp-type %d", m.Type)
		if m.Family == ir.IPv6 {
			text = fmt.Sprintf("-m icmp6 --icmpv6-type %d", m.Type)
		}
		if m.Code >= 0 {
			text += fmt.Sprintf("/%d", m.Code)
		}
		return text
	case Conntrack:
		return conntrack(m)
	case SetMatch:
		return "-m set " + not(m.Not) + "--match-set " + m.Set + " " + m.Dir.String()
	case Time:
		return "-m time --datestop " + m.Last.Format("2006-01-02T15:04:05")
	case HashLimit:
		text := fmt.Sprintf("-m hashlimit --hashlimit-%s %s --hashlimit-burst %d", aboveOrUpTo(m.Above), rate(m.Rate), m.Burst)
		if m.PerSource {
			text += " --hashlimit-mode srcip"
		}
		text += " --hashlimit-name " + m.Name
		if m.Expire > 0 {
			text += fmt.Sprintf(" --hashlimit-htable-expire %d", m.Expire*1000)
		}
		return text
	case ConnLimit:
		return fmt.Sprintf("-m connlimit --connlimit-%s %d --connlimit-mask %d --connlimit-saddr", aboveOrUpTo(m.Above), m.Max, m.PrefixLength)
	case Limit:
		text := "-m limit --limit " + rate(m.Rate)
		if m.Burst != defaultLimitBurst {
			text += fmt.Sprintf(" --limit-burst %d", m.Burst)
		}
		return text
	}
	panic(fmt.Sprintf("iptables: no text for match %T", m))
}

// defaultLimitBurst is the burst of -m limit that iptables-save omits.
const defaultLimitBurst = 5

// defaultLogLevel is warning, the level that iptables-save omits.
const defaultLogLevel = 4

// verdict returns the text of a target with its option, -j or -g.
func verdict(v Verdict) string {
	switch v := v.(type) {
	case Accept:
		return "-j ACCEPT"
	case Return:
		return "-j RETURN"
	case Drop:
		return "-j DROP"
	case Reject:
		return "-j REJECT --reject-with " + v.With
	case Jump:
		return "-j " + v.Chain
	case Goto:
		return "-g " + v.Chain
	case Log:
		text := "-j LOG --log-prefix " + quote(v.Prefix)
		if v.Level != defaultLogLevel {
			text += fmt.Sprintf(" --log-level %d", v.Level)
		}
		return text
	case NFLog:
		text := "-j NFLOG"
		if v.Prefix != "" {
			text += " --nflog-prefix " + quote(v.Prefix)
		}
		if v.Group != 0 {
			text += fmt.Sprintf(" --nflog-group %d", v.Group)
		}
		return text
	}
	panic(fmt.Sprintf("iptables: no text for verdict %T", v))
}

func conntrack(m Conntrack) string {
	text := "-m conntrack"
	if m.States != 0 {
		text += " --ctstate " + states(m.States)
	}
	if m.OrigDst.IsValid() {
		text += " --ctorigdst " + m.OrigDst.String()
	}
	if m.OrigDstPort != nil {
		text += " --ctorigdstport " + ports(*m.OrigDstPort)
	}
	switch m.Dir {
	case ir.CTOriginal:
		text += " --ctdir ORIGINAL"
	case ir.CTReply:
		text += " --ctdir REPLY"
	}
	return text
}

func states(s ir.CTState) string {
	var names []string
	for i, name := range []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"} {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func addressFlag(d Direction) string {
	if d == Dst {
		return "-d"
	}
	return "-s"
}

func aboveOrUpTo(above bool) string {
	if above {
		return "above"
	}
	return "upto"
}

func not(n bool) string {
	if n {
		return "! "
	}
	return ""
}

func ports(p ir.PortRange) string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d:%d", p.First, p.Last)
}

func rate(r Rate) string {
	return fmt.Sprintf("%d/%s", r.Count, r.Unit)
}

// protocol returns the name of a protocol if it is built into iptables, otherwise the
// number: other names depend on /etc/protocols of the host that loads the file.
func protocol(n uint8) string {
	switch n {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 58:
		return "ipv6-icmp"
	case 132:
		return "sctp"
	case 136:
		return "udplite"
	}
	return fmt.Sprint(n)
}

// quote returns a string as iptables-save prints it: bare if it has only letters, digits, -
// and _, otherwise in double quotes. Nothing needs an escape: the parser rejects quotes,
// backslashes and control characters in every string that is printed here.
func quote(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\' || c < ' ' || c >= 0x7f:
			panic(fmt.Sprintf("iptables: %q cannot be written to a restore file", s))
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			plain = false
		}
	}
	if plain {
		return s
	}
	return `"` + s + `"`
}
