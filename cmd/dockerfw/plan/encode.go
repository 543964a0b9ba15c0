package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// encoded is the form of a version in a file: the texts that loading it would use.
type encoded struct {
	Table     string                  `json:"table,omitempty"`
	Rules     map[string]encodedRules `json:"rules"`
	Sets      string                  `json:"sets"`
	Unmanaged string                  `json:"unmanaged"`
}

type encodedRules struct {
	Tables string `json:"tables"`
	Target string `json:"target"`
	NoJump bool   `json:"no_jump,omitempty"`
}

// MarshalJSON writes the version so that UnmarshalJSON reads the same one.
func (v *Version) MarshalJSON() ([]byte, error) {
	out := encoded{Rules: map[string]encodedRules{}}
	if v.Table != nil {
		out.Table = string(v.Table.Text())
	}
	for f, r := range v.Rules {
		var text bytes.Buffer
		for _, b := range []*iptables.Block{r.Filter, r.Security} {
			if b == nil {
				continue
			}
			committed := *b
			committed.Committed = true
			if err := (&iptables.RulesFile{Blocks: []*iptables.Block{&committed}}).Print(&text); err != nil {
				return nil, err
			}
		}
		out.Rules[f.String()] = encodedRules{text.String(), r.Target, r.NoJump}
	}
	out.Sets = string((&Version{Sets: v.Sets}).EmptySets())
	out.Unmanaged = string((&Version{Sets: v.Unmanaged}).EmptySets())
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Version) UnmarshalJSON(text []byte) error {
	var in encoded
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*v = Version{Rules: map[ir.Family]*Rules{}}
	if in.Table != "" {
		table, err := ParseTable([]byte(in.Table))
		if err != nil {
			return err
		}
		v.Table = table
	}
	for _, f := range families {
		r, ok := in.Rules[f.String()]
		if !ok {
			continue
		}
		file, diags := iptables.ParseRules(strings.NewReader(r.Tables), "version")
		if diags.HasErrors() {
			return diags
		}
		rules := &Rules{Target: r.Target, NoJump: r.NoJump}
		for _, b := range file.Blocks {
			switch b.Table {
			case filter:
				rules.Filter = b
			case security:
				rules.Security = b
			default:
				return fmt.Errorf("table %q in a version", b.Table)
			}
		}
		v.Rules[f] = rules
	}
	return v.readSets(in.Sets, in.Unmanaged)
}

// readSets reads the sets of a version. The unmanaged ones come first: lists may contain them.
func (v *Version) readSets(own, unmanaged string) error {
	all := &iptables.Sets{}
	var names [2]map[string]string
	for i, text := range []string{unmanaged, own} {
		file, diags := iptables.ParseSets(strings.NewReader(text), "version")
		if !diags.HasErrors() {
			diags = all.Load(file)
		}
		if diags.HasErrors() {
			return diags
		}
		names[i] = map[string]string{}
		for _, c := range file.Commands {
			names[i][c.Set] = c.Set
		}
	}
	v.Unmanaged, v.Sets = all.Select(names[0]), all.Select(names[1])
	return nil
}
