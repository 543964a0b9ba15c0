package golden

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// nftExamples are the examples whose files for target nftables are committed, in nftDir.
var nftExamples = []string{"closed-host", "every-attribute", "no-lan-egress", "tutorial"}

// nftDir has a folder for each of them.
const nftDir = "nftables"

var (
	hostBlock = regexp.MustCompile(`(?m)^host .*\{\n`)
	// withoutCounterpart are the target, and the attributes that a host with target nftables does not take.
	withoutCounterpart = regexp.MustCompile(`(?m)^\s+(target|chain|install|verdict|hashsize|timeout|counters|comment) +=.*\n`)
)

// forNFTables writes a copy of an example with target nftables, without the attributes that have no
// counterpart there, and returns its directory.
func forNFTables(t *testing.T, name string) string {
	t.Helper()
	from, to := filepath.Join(examplesDir, name), filepath.Join(t.TempDir(), name)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o777)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		policy := string(text)
		switch {
		case strings.HasSuffix(path, ".hcl"):
			policy = hostBlock.ReplaceAllString(withoutCounterpart.ReplaceAllString(policy, ""), "$0  target = \"nftables\"\n")
		case strings.HasSuffix(path, ".hcl.json"):
			policy = strings.Replace(policy, `"host": {`, `"host": { "target": "nftables",`, 1)
		}
		return os.WriteFile(filepath.Join(to, rel), []byte(policy), 0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func nftFolder(t *testing.T, name string) folder.Contents {
	t.Helper()
	result, diags := driver.Policy(forNFTables(t, name), driver.Options{Now: today})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return result.Folder()
}

// Each example compiles for target nftables; a few have goldens.
func TestExamplesCompileForNFTables(t *testing.T) {
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			got := nftFolder(t, name)
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
