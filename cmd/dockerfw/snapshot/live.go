package snapshot

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/saved"
)

// readHost reads a running host, this one or another, with its tools: of the two kinds of
// iptables it uses the one that has Docker's rules.
func readHost(name string, t tools) (*Fleet, hcl.Diagnostics, error) {
	choice, err := chooseBackend(name, t)
	if err != nil {
		return nil, nil, err
	}
	h := newHost(name, Live)
	h.tools = t
	h.Backend, h.suffix = choice.backend, choice.suffix
	var diags hcl.Diagnostics
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		tool := h.Tool(f) + "-save"
		text, err := t.output(tool)
		m := incompatible.FindSubmatch(text)
		if why := ""; err != nil || m != nil {
			if h.Backend == NFT && !errors.Is(err, ErrNoTool) {
				why = h.culprit(f)
			}
			switch {
			case why != "":
				return nil, nil, fmt.Errorf("%s: %s", h.Name, why)
			case err != nil:
				return nil, nil, err
			}
			return nil, nil, fmt.Errorf("%s: %s: %s It has rules of nft, which iptables-save does not print", h.Name, tool, m[1])
		}
		holds := map[ir.Family]saved.Content{ir.IPv4: saved.Rules4, ir.IPv6: saved.Rules6}[f]
		diags = append(diags, h.add(saved.Part{Holds: holds, Text: string(text)}, tool)...)
	}
	text, err := t.output("ipset", "save")
	if err != nil && !errors.Is(err, ErrNoTool) {
		return nil, nil, err
	}
	diags = append(diags, h.add(saved.Part{Holds: saved.Sets, Text: string(text)}, "ipset save")...)
	fleet := &Fleet{Name: name, Kind: Live, Hosts: []*Host{h}, Note: choice.note}
	if diags.HasErrors() {
		return fleet, diags, nil
	}
	if err := h.readNFT(); err != nil {
		return nil, nil, err
	}
	return fleet, diags, nil
}
