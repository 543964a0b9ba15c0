package golden

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
)

// nftExamples are the examples whose files for target nftables are committed, in nftDir.
var nftExamples = []string{"closed-host", "every-attribute", "no-lan-egress", "tutorial"}

// nftDir has a folder for each of them.
const nftDir = "nftables"

// Each example compiles for target nftables, too, and is proved; a few have goldens.
func TestExamplesCompileForNFTables(t *testing.T) {
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			policy := filepath.Join(t.TempDir(), name)
			if err := nftpolicy.Copy(filepath.Join(examplesDir, name), policy); err != nil {
				t.Fatal(err)
			}
			result, diags := driver.Policy(policy, driver.Options{Now: today})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			got := result.Folder()
			if !slices.Contains(nftExamples, name) {
				return
			}
			dir := filepath.Join(nftDir, name)
			if *update {
				if _, err := got.Write(dir); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(texts(filesIn(t, dir)), texts(got)); diff != "" {
				t.Errorf("compiled files differ (-golden +compiled); if this is intended, run make golden and read its diff:\n%s", diff)
			}
		})
	}
	entries, err := os.ReadDir(nftDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(nftExamples, e.Name()) {
			t.Errorf("golden/%s/%s: not in nftExamples", nftDir, e.Name())
		}
	}
}
