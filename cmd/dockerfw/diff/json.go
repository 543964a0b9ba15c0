package diff

import (
	"io"
	"net/netip"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// The JSON of a report. Names and meanings are an interface; more may be added.
type (
	jsonAll struct {
		Different bool         `json:"different"`
		Effect    Effect       `json:"effect"`
		Hosts     []jsonReport `json:"hosts"`
	}
	jsonReport struct {
		Host    string       `json:"host,omitempty"`
		Old     string       `json:"old"`
		New     string       `json:"new"`
		Effect  Effect       `json:"effect"`
		Changes []jsonChange `json:"changes"`
		More    bool         `json:"more,omitempty"`
		// SameReach has the form of Changes, with the effect "none".
		SameReach []jsonChange `json:"same_reach,omitempty"`
		// MoreSameReach is set if there are others.
		MoreSameReach bool          `json:"more_same_reach,omitempty"`
		Sets          []jsonSet     `json:"sets"`
		Rules         []jsonChain   `json:"rules"`
		Foreign       []jsonForeign `json:"foreign"`
		Notes         []string      `json:"notes"`
		// Facts are about the live side.
		Facts []facts.Fact `json:"facts,omitempty"`
	}
	jsonChange struct {
		Path        Path       `json:"path"`
		Families    []string   `json:"families"`
		Effect      Effect     `json:"effect"`
		Old         jsonSide   `json:"old"`
		New         jsonSide   `json:"new"`
		Packets     []string   `json:"packets"`
		Proxy       []string   `json:"docker_proxy,omitempty"`
		StillOpen   string     `json:"still_open,omitempty"`
		Unpublished bool       `json:"unpublished_only,omitempty"`
		Conditions  []string   `json:"conditions,omitempty"`
		Witness     jsonPacket `json:"witness"`
	}
	jsonSide struct {
		Verdicts []string   `json:"verdicts"`
		Rules    []jsonRule `json:"rules"`
		// Witness is the verdict that the change's witness gets.
		Witness string `json:"witness"`
	}
	jsonRule struct {
		Name  string `json:"name"`
		Place string `json:"place,omitempty"`
		Text  string `json:"text,omitempty"`
		// Implicit: the policy has no such block. The place is that of its host block.
		Implicit bool `json:"implicit,omitempty"`
	}
	jsonPacket struct {
		Text                string     `json:"text"`
		Family              string     `json:"family"`
		Protocol            uint8      `json:"protocol"`
		In                  string     `json:"in"`
		Out                 string     `json:"out,omitempty"`
		Source              netip.Addr `json:"source"`
		SourcePort          uint16     `json:"source_port,omitempty"`
		Destination         netip.Addr `json:"destination"`
		DestinationPort     uint16     `json:"destination_port,omitempty"`
		OriginalDestination netip.Addr `json:"original_destination"`
		OriginalPort        uint16     `json:"original_port,omitempty"`
		DNAT                bool       `json:"dnat"`
		SNAT                bool       `json:"snat,omitempty"`
		State               string     `json:"state"`
		// Direction is "original" or "reply" in known connections; new ones have only packets
		// in the original direction.
		Direction  string          `json:"direction,omitempty"`
		ICMPType   *uint8          `json:"icmp_type,omitempty"`
		ICMPCode   *uint8          `json:"icmp_code,omitempty"`
		Conditions map[string]bool `json:"conditions,omitempty"`
	}
	jsonSet struct {
		Name         string   `json:"name"`
		State        string   `json:"state"`
		Unused       bool     `json:"unused,omitempty"`
		AddedCount   int      `json:"added_count"`
		RemovedCount int      `json:"removed_count"`
		Added        []string `json:"added"`
		Removed      []string `json:"removed"`
	}
	jsonChain struct {
		Family  string   `json:"family"`
		Chain   string   `json:"chain"`
		Added   []string `json:"added"`
		Removed []string `json:"removed"`
		Moved   []string `json:"moved"`
	}
	jsonForeign struct {
		Family string `json:"family"`
		Chain  string `json:"chain"`
		Text   string `json:"text"`
		Lost   bool   `json:"lost"`
	}
)

// WriteJSON writes reports for programs.
func WriteJSON(w io.Writer, reports []*Report, style Style) error {
	out := jsonAll{Effect: Total(reports), Hosts: []jsonReport{}}
	for _, r := range reports {
		out.Different = out.Different || r.Different()
		out.Hosts = append(out.Hosts, r.json(style))
	}
	return escape.JSON(w, out)
}

func (r *Report) json(style Style) jsonReport {
	out := jsonReport{
		Host: r.Host, Old: r.Old, New: r.New, Effect: r.Effect, More: r.More, MoreSameReach: r.MoreSameReach,
		Changes: []jsonChange{}, Sets: []jsonSet{}, Rules: []jsonChain{}, Foreign: []jsonForeign{}, Notes: list(r.Notes), Facts: r.Facts,
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, c.json(style))
	}
	for _, c := range r.SameReach {
		out.SameReach = append(out.SameReach, c.json(style))
	}
	for _, s := range r.Sets {
		state := "changed"
		switch {
		case s.New:
			state = "new"
		case s.Gone:
			state = "gone"
		}
		added, removed := append(words.Prefixes(s.Added), s.AddedMembers...), append(words.Prefixes(s.Removed), s.RemovedMembers...)
		one := jsonSet{Name: s.Name, State: state, Unused: s.Unused, AddedCount: len(added), RemovedCount: len(removed), Added: added, Removed: removed}
		if !style.Full {
			one.Added, one.Removed = added[:min(samples, len(added))], removed[:min(samples, len(removed))]
		}
		out.Sets = append(out.Sets, one)
	}
	for _, c := range r.Rules {
		out.Rules = append(out.Rules, jsonChain{c.Family.String(), c.Chain, list(c.Added), list(c.Removed), list(c.Moved)})
	}
	for _, f := range r.Foreign {
		out.Foreign = append(out.Foreign, jsonForeign{f.familyName(), f.Chain, f.Text, f.Lost})
	}
	return out
}

func (c *Change) json(style Style) jsonChange {
	s := style.sentences()
	out := jsonChange{
		Path: c.Path, Effect: c.Effect, Packets: s.description(c.Packets), StillOpen: c.StillOpen, Unpublished: c.Unpublished, Conditions: c.Conditions,
		Old:     side(c.Old, c.OldRules, c.WitnessOld),
		New:     side(c.New, c.NewRules, c.WitnessNew),
		Witness: packetJSON(c.Witness),
	}
	for _, d := range c.Proxy {
		out.Proxy = append(out.Proxy, s.destination(d))
	}
	for _, f := range c.Families {
		out.Families = append(out.Families, f.String())
	}
	return out
}

func side(verdicts []packet.Verdict, rules []Rule, witness packet.Verdict) jsonSide {
	out := jsonSide{Witness: witness.String()}
	for _, v := range verdicts {
		out.Verdicts = append(out.Verdicts, v.String())
	}
	for _, r := range rules {
		out.Rules = append(out.Rules, jsonRule{r.Name, r.place(), r.Text, r.MissingIn != ""})
	}
	return out
}

func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func packetJSON(p packet.Packet) jsonPacket {
	out := jsonPacket{
		Text: p.String(), Family: p.Family.String(), Protocol: p.Protocol, In: p.In, Out: p.Out,
		Source: p.Source, SourcePort: p.SourcePort, Destination: p.Destination, DestinationPort: p.DestinationPort,
		OriginalDestination: p.OriginalDestination, OriginalPort: p.OriginalPort, DNAT: p.DNAT, SNAT: p.SNAT,
		State: packet.State{States: p.State}.Names(), Conditions: p.Conditions,
	}
	if p.Tracked() && p.State != ir.CTNew {
		out.Direction = packet.Dir{Dir: p.Direction}.Name()
	}
	if p.HasICMP() {
		out.ICMPType, out.ICMPCode = &p.ICMPType, &p.ICMPCode
	}
	return out
}
