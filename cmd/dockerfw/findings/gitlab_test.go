package findings

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func TestGitLabGetsAPlaceAndAFingerprintForEachFinding(t *testing.T) {
	at := hcl.Range{Filename: "./net/policy.hcl", Start: hcl.Pos{Line: 3, Column: 2, Byte: 9}, End: hcl.Pos{Line: 4, Column: 4, Byte: 11}}
	moved := at
	moved.Start.Line, moved.End.Line = 7, 8
	diags := hcl.Diagnostics{
		diag.New(diag.CodeReference, at, "no set", "Write one."),
		diag.Warn(diag.CodeCovered, at, "covered", ""),
		diag.Note(diag.CodeCovered, moved, "covered", ""),
		diag.New(diag.CodeSchema, diag.Outside("--var x"), "wrong", ""),
	}
	write := func(diags hcl.Diagnostics) (out []gitlabIssue) {
		var text bytes.Buffer
		if err := WriteGitLab(&text, diags, map[string][]byte{"b.hcl": nil, "a.hcl": nil}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := write(diags)
	var fingerprints, places, severities []string
	for _, i := range all {
		fingerprints = append(fingerprints, i.Fingerprint)
		places = append(places, i.Location.Path)
		severities = append(severities, i.Severity)
		if i.Description == "" || i.CheckName == "" || i.Location.Lines.Begin < 1 || i.Location.Lines.End < i.Location.Lines.Begin || filepath.IsAbs(i.Location.Path) {
			t.Errorf("%+v", i)
		}
	}
	if want := []string{"net/policy.hcl", "net/policy.hcl", "net/policy.hcl", "a.hcl"}; !slices.Equal(places, want) {
		t.Errorf("places %q, want %q", places, want)
	}
	if want := []string{"major", "minor", "info", "major"}; !slices.Equal(severities, want) {
		t.Errorf("severities %q, want %q", severities, want)
	}
	if sorted := slices.Sorted(slices.Values(fingerprints)); len(slices.Compact(sorted)) != len(fingerprints) {
		t.Errorf("fingerprints %q", fingerprints)
	}
	// A finding keeps its fingerprint if its line moves.
	if again := write(hcl.Diagnostics{diag.New(diag.CodeReference, moved, "no set", "Write one.")}); again[0].Fingerprint != all[0].Fingerprint {
		t.Error("the fingerprint depends on the line")
	}
}
