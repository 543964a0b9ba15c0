package facts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirewalldWithoutTheFilesOfTheDocsIsReported(t *testing.T) {
	const (
		running = "proc/7/comm=firewalld\n"
		unit    = "etc/systemd/system/multi-user.target.wants/" + FirewalldTrigger + "=[Unit]"
		direct  = `etc/firewalld/direct.xml=<direct><chain ipv="ipv4" table="security" chain="DOCKERFW"/></direct>`
		foreign = "etc/firewalld/direct.xml=<direct></direct>"
	)
	for _, c := range []struct {
		name      string
		files     []string
		namespace string // of firewalld
		want      string
	}{
		{"no firewalld", []string{"proc/7/comm=systemd\n"}, "net:[1]", ""},
		{"firewalld of a container", []string{running}, "net:[2]", ""},
		{"neither file", []string{running}, "net:[1]", "note: firewalld runs, and the unit dockerfw-firewalld.service is not enabled, so a reload of firewalld deletes dockerfw's rules until they are loaded again; /etc/firewalld/direct.xml has no rules that close containers until dockerfw's are loaded again. Install"},
		{"the unit alone", []string{running, unit}, "net:[1]", "note: firewalld runs, and /etc/firewalld/direct.xml has no rules"},
		{"other rules", []string{running, unit, foreign}, "net:[1]", "note: firewalld runs, and /etc/firewalld/direct.xml has no rules"},
		{"the rules alone", []string{running, direct}, "net:[1]", "note: firewalld runs, and the unit dockerfw-firewalld.service is not enabled, so a reload of firewalld deletes dockerfw's rules until they are loaded again. Install"},
		{"both files", []string{running, unit, direct}, "net:[1]", "ok: firewalld runs: it loads rules"},
	} {
		root := t.TempDir()
		for _, f := range c.files {
			name, text, _ := strings.Cut(f, "=")
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		writeNamespaces(t, root, map[string]string{"self": "net:[1]", "7": c.namespace})
		got := ""
		for _, f := range Firewalld(root) {
			got += string(f.Status) + ": " + f.Text
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// writeNamespaces writes the network namespaces of processes into a proc file system.
func writeNamespaces(t *testing.T, root string, namespaces map[string]string) {
	t.Helper()
	for process, namespace := range namespaces {
		dir := filepath.Join(root, "proc", process, "ns")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(namespace, filepath.Join(dir, "net")); err != nil {
			t.Fatal(err)
		}
	}
}
