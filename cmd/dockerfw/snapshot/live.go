package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/saved"
)

// live reads the host that this runs on, one of the sources of a Host (doc.go), with the tools
// in its PATH: of the two kinds of iptables it uses the one that has Docker's rules.
func live() (*Fleet, hcl.Diagnostics, error) {
	choice, err := chooseBackend()
	if err != nil {
		return nil, nil, err
	}
	h := newHost(LiveName, Live)
	h.Backend, h.suffix = choice.backend, choice.suffix
	var diags hcl.Diagnostics
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		tool := h.Tool(f) + "-save"
		text, err := ToolOutput(tool)
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
			return nil, nil, fmt.Errorf("%s: %s It has rules of nft, which iptables-save does not print", tool, m[1])
		}
		holds := map[ir.Family]saved.Content{ir.IPv4: saved.Rules4, ir.IPv6: saved.Rules6}[f]
		diags = append(diags, h.add(saved.Part{Holds: holds, Text: string(text)}, tool)...)
	}
	text, err := ToolOutput("ipset", "save")
	if err != nil && !errors.Is(err, ErrNoTool) {
		return nil, nil, err
	}
	diags = append(diags, h.add(saved.Part{Holds: saved.Sets, Text: string(text)}, "ipset save")...)
	if diags.HasErrors() {
		return &Fleet{Name: LiveName, Kind: Live, Hosts: []*Host{h}, Note: choice.note}, diags, nil
	}
	if err := h.readNFT(); err != nil {
		return nil, nil, err
	}
	return &Fleet{Name: LiveName, Kind: Live, Hosts: []*Host{h}, Note: choice.note}, diags, nil
}

// ErrNoTool is the error of a tool that is not installed.
var ErrNoTool = exec.ErrNotFound

// ToolOutput runs a tool that prints rules or sets of the kernel.
func ToolOutput(tool string, args ...string) ([]byte, error) {
	cmd := exec.Command(tool, args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		// su without - leaves sbin out of the path.
		if path, err := exec.LookPath("/usr/sbin/" + tool); err == nil {
			cmd = exec.Command(path, args...)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		why := strings.TrimSpace(stderr.String())
		if why == "" {
			why = err.Error()
		}
		hint := ""
		if os.Geteuid() != 0 {
			hint = " (reading the rules of this host needs root)"
		}
		return nil, fmt.Errorf("%s: %s%s: %w", tool, why, hint, err)
	}
	return text, nil
}
