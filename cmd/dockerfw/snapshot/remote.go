package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/remote"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// IsRemote reports whether a name is that of a host that ssh connects to.
func IsRemote(name string) bool { return strings.HasPrefix(name, remote.Scheme) }

// OpenRemote reads the host of an address ssh://[user@]host[:port], as "live" reads this one.
// If ctx is cancelled, the error is the cause.
func OpenRemote(ctx context.Context, name string) (*Fleet, hcl.Diagnostics, error) {
	address, err := remote.ParseAddress(name)
	if err != nil {
		return nil, nil, err
	}
	answers, err := address.Ask(ctx, questions())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	return readHost(address.String(), remoteTools{address, answers}, LiveOptions{})
}

// questions runs all tools that may be needed: which ones are depends on what others print, and
// a second connection could need a second password. The legacy tool creates a table that it is
// asked for, so it is asked for the filter table only if that exists. For a table with flags nft 1.0.6 prints
// JSON that cannot be read, so the text of nft is needed as well (readNFTText).
func questions() string {
	script := toolQuestions
	for _, command := range network.Commands() {
		script += "\task ip " + command + "\n"
	}
	return script
}

const toolQuestions = `
	export TZ=UTC
	ask id -u
	ask iptables --version
	ask cat /proc/net/ip_tables_names
	ask iptables-nft-save -t filter
	case " $(echo $(cat /proc/net/ip_tables_names 2>/dev/null)) " in
	*" filter "*) ask iptables-legacy-save -t filter ;;
	esac
	for tool in iptables ip6tables; do
		ask $tool-save
		ask $tool-nft-save
		ask $tool-legacy-save
	done
	ask ipset save
	ask nft list tables
	ask nft -j list ruleset
	case "$(nft -t list ruleset 2>/dev/null)" in
	*"
	flags "*) ask nft list ruleset ;;
	esac
	ask test -e /sys/class/net/docker0
`

// remoteTools are the tools of another host, which have all run.
type remoteTools struct {
	address remote.Address
	answers remote.Answers
}

// notInstalled is the error of a tool that another host does not have.
type notInstalled struct{ text string }

func (e notInstalled) Error() string { return e.text }

func (notInstalled) Unwrap() error { return ErrNoTool }

func (r remoteTools) Output(tool string, args ...string) ([]byte, error) {
	command := strings.Join(append([]string{tool}, args...), " ")
	a, asked := r.answers[command]
	switch {
	case !asked:
		return nil, fmt.Errorf("%s: %s was not run: the tables changed while they were read. Run the command again", r.address, command)
	case !a.Installed:
		return nil, notInstalled{fmt.Sprintf("%s: %s is not installed there", r.address, tool)}
	case a.Exit != 0:
		return nil, r.failure(tool, a)
	}
	return a.Output, nil
}

func (r remoteTools) failure(tool string, a remote.Answer) error {
	why := strings.TrimSpace(a.Errors)
	if why == "" {
		why = "no message"
	}
	text := fmt.Sprintf("%s: %s: %s: exit status %d", r.address, tool, why, a.Exit)
	if id := r.answers["id -u"]; id.Installed && strings.TrimSpace(string(id.Output)) != "0" {
		root := r.address
		root.User = "root"
		text += fmt.Sprintf(". Reading the rules of a host needs root: use %s", root)
	}
	return errors.New(text)
}

func (r remoteTools) LegacyTables(f ir.Family) []string {
	if f != ir.IPv4 {
		return nil // only a load reads them, which is on this host
	}
	return strings.Fields(string(r.answers["cat /proc/net/ip_tables_names"].Output))
}

// Network is what ip(8) prints, which has JSON since iproute2 4.13.
func (r remoteTools) Network() (*network.State, error) {
	s, err := network.FromIP(func(command string) ([]byte, error) { return r.Output("ip", strings.Fields(command)...) })
	if err != nil {
		return nil, fmt.Errorf("the interfaces of another host are not read (%w)", err)
	}
	return s, nil
}

func (r remoteTools) HasDefaultBridge() bool {
	a := r.answers["test -e /sys/class/net/docker0"]
	return a.Installed && a.Exit == 0
}
