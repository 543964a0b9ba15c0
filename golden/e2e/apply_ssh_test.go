//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// Only --confirm brings the earlier rules back if nobody reaches sshd any more.
func TestApplyWarnsBeforeItClosesSSH(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	const begin = "host { external_interfaces = [\"eth0\"] }\n"
	const warning = "dockerfw: warning: no rule accepts port 22/tcp of the host: open sessions stay open, but new ones from external interfaces are refused"
	open := compileFolder(t, "ssh is open", begin+"input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports    = [22]\n  }\n}\n")
	closed := compileFolder(t, "ssh is closed", begin+"input {\n}\n")
	h.expect(h.apply(closed, "--dry-run"), 0, warning, "use --confirm 60")
	for _, c := range []struct {
		p     *deployed
		args  []string
		warns bool
	}{
		{open, nil, false},
		{closed, nil, true},
		{closed, nil, false}, // nothing changes
		{open, nil, false},
		{closed, notYet, false},
	} {
		out := h.apply(c.p, c.args...)
		h.expect(out, 0)
		if strings.Contains(out.text, warning) != c.warns {
			t.Errorf("%s %q warns: %t:\n%s", c.p.name, c.args, !c.warns, out.text)
		}
		h.requireLoaded(c.p)
	}
	h.expect(h.rollback(), 0)
	h.requireLoaded(open)
}
