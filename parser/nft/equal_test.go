package nft

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
)

// sameAST compares what was read from text and from JSON: without positions, which only the text
// has, and handles, which only the JSON has.
var sameAST = cmp.Options{
	cmpopts.IgnoreTypes(hcl.Range{}),
	cmpopts.IgnoreFields(Rule{}, "Handle"),
	cmpopts.IgnoreFields(Set{}, "AutoMerge"), // nft 1.0.6 leaves it out of its JSON
	cmpopts.EquateEmpty(),
	// What is left of a timeout differs from one listing to the next.
	cmp.FilterPath(func(p cmp.Path) bool {
		key, ok := p.Last().(cmp.MapIndex)
		return ok && key.Key().String() == "expires"
	}, cmp.Ignore()),
}

// Each testdata/NAME.txt is what nft list ruleset printed, NAME.json the same with -j.
func TestTextAndJSONOfARulesetAreTheSame(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			asJSON, err := os.ReadFile(strings.TrimSuffix(name, ".txt") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			fromText, diags := ParseText(text, name)
			for _, d := range diags {
				t.Error(d)
			}
			fromJSON, err := Parse(asJSON)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fromJSON, fromText, sameAST); diff != "" {
				t.Errorf("JSON (-), text (+):\n%s", diff)
			}
		})
	}
}
