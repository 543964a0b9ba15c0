package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
)

// The two targets are two forms of one policy: diff, which reads what each loads, finds no difference.
func TestExamplesAreTheSameForBothTargets(t *testing.T) {
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := nftpolicy.Copy(filepath.Join(examplesDir, name), dir); err != nil {
				t.Fatal(err)
			}
			tables := opened(t, dir)
			forIPTables(t, dir)
			reports, err := diff.Fleet(opened(t, dir), tables, diff.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if (diff.Gate{On: "any", Strict: true}).Fails(reports) {
				var b strings.Builder
				if err := diff.Write(&b, "text", reports, diff.Style{}); err != nil {
					t.Fatal(err)
				}
				t.Error(b.String())
			}
			for i, h := range tables.Hosts {
				if !h.NFTables() || reports[i].Host != h.Label {
					t.Errorf("host %q was not compared with target nftables", h.Label)
				}
			}
		})
	}
}

func opened(t *testing.T, dir string) *snapshot.Fleet {
	t.Helper()
	fleet, diags, err := snapshot.Open(dir, driver.Options{Now: today})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return fleet
}

// forIPTables changes a policy of nftpolicy.Copy to target iptables.
func forIPTables(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if !strings.Contains(f.Name(), ".hcl") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		policy := strings.NewReplacer("  target = \"nftables\"\n", "", `"target": "nftables",`, "").Replace(string(text))
		changed = changed || policy != string(text)
		if err := os.WriteFile(path, []byte(policy), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !changed {
		t.Fatal("no host block has target nftables")
	}
}
