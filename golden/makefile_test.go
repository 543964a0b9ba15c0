package golden

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// make fuzz lists the fuzz targets by hand: go test runs one of them at a time.
func TestMakeFuzzRunsEveryFuzzTarget(t *testing.T) {
	var declared, run []string
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, file := range repositoryFiles(t, "_test.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			declared = append(declared, m[1]+" "+filepath.ToSlash(filepath.Join("golden", filepath.Dir(file))))
		}
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`-fuzz='?(\w+)\$*'? -fuzztime=\S+ \./(\S+)`).FindAllStringSubmatch(string(makefile), -1) {
		run = append(run, m[1]+" "+m[2])
	}
	slices.Sort(declared)
	slices.Sort(run)
	if diff := cmp.Diff(declared, run); diff != "" || len(run) == 0 {
		t.Errorf("fuzz targets (-declared +run by make fuzz):\n%s", diff)
	}
}
