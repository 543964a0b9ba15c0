package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// readNFT reads the tables of nft on a live host, and checks that iptables-save printed its own
// completely. Without nft nothing can have changed them.
func (h *Host) readNFT(o LiveOptions) error {
	large := largeSets(o.Compiled)
	text, err := h.listNFT(large)
	if err == nil {
		if h.NFT, err = nft.Parse(text); err != nil {
			err = &unreadableError{fmt.Errorf("%s: nft -j list ruleset: %w", h.Name, err)}
		}
	}
	unreadable := (*unreadableError)(nil)
	switch {
	case errors.As(err, &unreadable):
		if !h.readNFTText() {
			return err
		}
	case errors.Is(err, ErrNoTool):
		h.NFTUnread = "nft is not installed"
		return nil
	case err != nil && h.Backend == Legacy:
		h.NFTUnread = err.Error() // the kernel may have no nf_tables
		return nil
	case err != nil:
		return err
	}
	h.assume(large)
	err = h.checkNFT()
	for differs := (*listsDifferError)(nil); o.Optional && errors.As(err, &differs); err = h.checkNFT() {
		delete(h.Rules, differs.family)
		h.Unread[differs.family] = err
	}
	return err
}

// readNFTText reads the tables from what nft prints for people. For a dormant table nft 1.0.6 prints JSON that
// may end in the middle, because it is not Unicode. ok is false for what is not understood.
func (h *Host) readNFTText() (ok bool) {
	text, err := h.ToolOutput("nft", "list", "ruleset")
	if err != nil {
		return false
	}
	read, diags := nft.ParseText(text, "nft list ruleset")
	if diags.HasErrors() {
		return false
	}
	h.NFT = read
	return true
}

// checkNFT compares the tables of iptables-nft as listed by nft with the output of
// iptables-save, which leaves out the conditions that only nft knows.
func (h *Host) checkNFT() error {
	if h.NFT == nil {
		return nil
	}
	for _, t := range h.NFT.Tables {
		if !h.readByIPTables(t) {
			continue
		}
		f := ir.IPv4
		if t.Family == "ip6" {
			f = ir.IPv6
		}
		if err := sameTable(t, h.Rules[f].Table(t.Name), IPTables(f)+"-save"); err != nil {
			return &listsDifferError{fmt.Errorf("%s: %w", h.Name, err), f}
		}
	}
	return nil
}

// listsDifferError is the error for a table of iptables-nft that iptables-save and nft list
// differently: nft changed it, or another program between the two.
type listsDifferError struct {
	error
	family ir.Family
}

const deleteRule = "Delete it (nft delete rule %s %s %s handle %d) and add it with iptables, or move it to a table of its own (nft add table inet NAME)"

// sameTable returns an error for what iptables-save did not print as it is.
func sameTable(t *nft.Table, saved *iptables.Table, tool string) error {
	for _, c := range t.Chains {
		have := saved.Chain(c.Name)
		if have == nil || c.Hook != "" && !slices.Contains([]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}, c.Name) {
			return fmt.Errorf("table %s %s has a chain %s that %s does not print, because nft created it. Delete it there, and create it in a table of its own (nft add table inet NAME)", t.Family, t.Name, c.Name, tool)
		}
		for i, r := range c.Rules {
			why := "it is not printed"
			if i < len(have.Rules) {
				why = difference(r, have.Rules[i])
			}
			if why != "" {
				printed := ""
				if i < len(have.Rules) {
					printed = " (-A " + c.Name + " " + have.Rules[i].Text + ")"
				}
				return fmt.Errorf("table %s %s, chain %s has a rule of nft that %s does not print completely%s: %s; %s. "+deleteRule,
					t.Family, t.Name, c.Name, tool, printed, r.Text(), why, t.Family, t.Name, c.Name, r.Handle)
			}
		}
		if len(have.Rules) > len(c.Rules) {
			return fmt.Errorf("table %s %s, chain %s changed while it was read. Run the command again", t.Family, t.Name, c.Name)
		}
	}
	return nil
}

// optionsOf are the options that iptables prints for a field that a rule of iptables-nft
// compares. All other conditions of its rules are xtables expressions.
var optionsOf = map[string][]string{
	"ip saddr": {"-s"}, "ip6 saddr": {"-s"}, "ip daddr": {"-d"}, "ip6 daddr": {"-d"},
	"iifname": {"-i"}, "oifname": {"-o"}, "ip protocol": {"-p"}, "ip6 nexthdr": {"-p"}, "meta l4proto": {"-p"},
	"ip frag-off": {"-f"}, "meta mark": {"--mark"}, "meta pkttype": {"--pkt-type"},
	"tcp sport": {"--sport"}, "tcp dport": {"--dport"}, "udp sport": {"--sport"}, "udp dport": {"--dport"},
	"sctp sport": {"--sport"}, "sctp dport": {"--dport"}, "dccp sport": {"--sport"}, "dccp dport": {"--dport"},
	"tcp flags": {"--tcp-flags", "--syn"}, "icmp type": {"--icmp-type"}, "icmpv6 type": {"--icmpv6-type"},
	"ether saddr": {"--mac-source"}, "ip ttl": {"--ttl-lt", "--ttl-gt", "--ttl-eq"}, "ip6 hoplimit": {"--hl-lt", "--hl-gt", "--hl-eq"},
}

// difference is what iptables does not print of a rule; "" if it prints all of it.
func difference(r *nft.Rule, printed *iptables.Rule) string {
	seen := map[string]bool{}
	for _, e := range r.Expr {
		why := ""
		switch e.Kind {
		case "counter", "xt":
		case "match":
			why = notPrinted(e, printed, seen)
		case "accept", "drop", "return":
			if printed.Jump != strings.ToUpper(e.Kind) {
				why = "its verdict differs"
			}
		case "jump", "goto":
			body, _ := e.Body.(map[string]any)
			if printed.Jump != body["target"] || printed.Goto != (e.Kind == "goto") {
				why = "its verdict differs"
			}
		case "limit":
			body, _ := e.Body.(map[string]any)
			if body["inv"] == true || body["rate_unit"] != nil || !slices.ContainsFunc(printed.Matches, func(m iptables.Match) bool { return m.Name == "limit" }) {
				why = "its limit differs"
			}
		case "log":
			if printed.Jump != "NFLOG" {
				why = "its log differs"
			}
		case "mangle":
			text := e.Text()
			if (!strings.HasPrefix(text, "meta nftrace ") || printed.Jump != "TRACE") && (!strings.HasPrefix(text, "meta mark ") || printed.Jump != "MARK") {
				why = "iptables does not support " + text
			}
		default:
			why = "iptables does not support " + e.Text()
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// notPrinted is why iptables does not print a comparison; "" if it does.
func notPrinted(e nft.Expr, printed *iptables.Rule, seen map[string]bool) string {
	unknown := "iptables does not support " + e.Text()
	names, field, op := writable(e)
	if names == nil {
		return unknown
	}
	for _, name := range names {
		o := printed.Option(name)
		for i := range printed.Matches {
			if o == nil {
				o = printed.Matches[i].Option(name)
			}
		}
		if o == nil {
			continue
		}
		if seen[name] {
			return "iptables prints only one of its conditions on " + field
		}
		seen[name] = true
		not := op == "!="
		if name == "-f" {
			not = op == "=="
		}
		if o.Not != not && field != "ip ttl" && field != "ip6 hoplimit" {
			return unknown
		}
		return ""
	}
	return unknown
}

// writable returns the options for a comparison that iptables-nft may have written, the field
// and the operator; no options for any other.
func writable(e nft.Expr) (names []string, field, op string) {
	body, _ := e.Body.(map[string]any)
	left, masked := body["left"], false
	if m, ok := left.(map[string]any); ok {
		if l, ok := m["&"].([]any); ok && len(l) == 2 {
			left, masked = l[0], true
		}
	}
	field = nft.Value(left)
	op, _ = body["op"].(string)
	names = optionsOf[field]
	if op != "==" && op != "!=" && field != "ip ttl" && field != "ip6 hoplimit" {
		return nil, field, op
	}
	if masked && !slices.Contains([]string{"ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "ip frag-off", "meta mark", "tcp flags"}, field) {
		return nil, field, op
	}
	switch right := body["right"].(type) {
	case string:
		if strings.HasPrefix(right, "@") {
			return nil, field, op
		}
	case json.Number:
	case []any:
		if field != "tcp flags" {
			return nil, field, op
		}
	case map[string]any:
		ports := strings.HasSuffix(field, "port")
		flags := field == "tcp flags"
		if len(right) != 1 || right["prefix"] == nil && (right["range"] == nil || !ports) && (right["|"] == nil || !flags) {
			return nil, field, op
		}
	default:
		return nil, field, op
	}
	return names, field, op
}

// culprit describes the first rule in the tables of iptables that iptables cannot have written,
// and how to remove it; "" if there is none.
func (h *Host) culprit(f ir.Family) string {
	text, err := h.ToolOutput("nft", "-j", "list", "ruleset")
	if err != nil {
		return ""
	}
	rules, err := nft.Parse(text)
	if err != nil {
		return ""
	}
	for _, t := range rules.Tables {
		if t.Family != nftFamily(f) || !slices.Contains(tablesOfIPTables, t.Name) {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if fromNFT(r) {
					return fmt.Sprintf("table %s %s, chain %s has a rule of nft that iptables does not support: %s. "+deleteRule, t.Family, t.Name, c.Name, r.Text(), t.Family, t.Name, c.Name, r.Handle)
				}
			}
		}
	}
	return ""
}

// fromNFT reports whether iptables cannot have written a rule.
func fromNFT(r *nft.Rule) bool {
	for _, e := range r.Expr {
		body, _ := e.Body.(map[string]any)
		switch e.Kind {
		case "counter", "xt", "accept", "drop", "return", "jump", "goto", "limit", "mangle":
		case "log":
			if body["group"] == nil {
				return true
			}
		case "match":
			if names, _, _ := writable(e); names == nil {
				return true
			}
		default:
			return true
		}
	}
	return false
}
