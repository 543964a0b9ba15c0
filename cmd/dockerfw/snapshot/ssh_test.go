package snapshot

import (
	"path/filepath"
	"testing"
)

func TestClosesSSH(t *testing.T) {
	const ssh = "  protocol = \"tcp\"\n  ports = [22]\n"
	for name, c := range map[string]struct {
		policy string
		want   bool
	}{
		"no input block":             {"", false},
		"nothing is accepted":        {"input {}", true},
		"ssh is accepted":            {"input {\n accept \"ssh\" {\n" + ssh + " }\n}", false},
		"for a set":                  {"ipset \"office\" { entries = [\"203.0.113.0/28\"] }\ninput {\n accept \"ssh\" {\n" + ssh + "  source = [ipset.office]\n }\n}", false},
		"for a set without entries":  {"ipset \"office\" { entries = [] }\ninput {\n accept \"ssh\" {\n" + ssh + "  source = [ipset.office]\n }\n}", true},
		"for an unmanaged set":       {"ipset \"office\" { managed = false }\ninput {\n accept \"ssh\" {\n" + ssh + "  source = [ipset.office]\n }\n}", false},
		"another port":               {"input {\n accept \"ssh\" {\n  protocol = \"tcp\"\n  ports = [2222]\n }\n}", true},
		"denied before":              {"input {\n deny \"ssh\" {\n" + ssh + " }\n accept \"all\" { protocol = \"tcp\" }\n}", true},
		"the default returns":        {"input {\n default { action = \"return\" }\n}", false},
		"denied, default returns":    {"input {\n deny \"ssh\" {\n" + ssh + " }\n default { action = \"return\" }\n}", true},
		"the default allows clients": {"input {\n default { allow = [\"203.0.113.1\"] }\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), policy("")+c.policy))
			if got, err := h.ClosesSSH(); err != nil || got != c.want {
				t.Errorf("ClosesSSH is %t, %v", got, err)
			}
		})
	}
}
