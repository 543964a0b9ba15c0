package findings

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

func at(file string, line, column int) hcl.Range {
	return hcl.Range{Filename: file, Start: hcl.Pos{Line: line, Column: column}, End: hcl.Pos{Line: line, Column: column + 4}}
}

// The names are those of the schema of SARIF 2.1.0, with all that it requires.
func TestSARIFHasWhatItsSchemaRequires(t *testing.T) {
	plain := diag.Warn(diag.CodeCovered, at("policy.hcl", 3, 1), "rule", "Detail.")
	diag.WithRelated(plain, "matches its packets first", at("policy.hcl", 1, 1))
	diags := hcl.Diagnostics{
		diag.Note(diag.CodeWorldOpen, at("dir with blank/a:b.hcl", 7, 2), "note", ""),
		plain,
		diag.New(diag.CodeSchema, at("/etc/policy.hcl", 1, 1), "error", "Detail."),
		{Severity: hcl.DiagError, Summary: "without a place", Extra: diag.Info{Code: diag.CodeFileRead}},
	}
	var b bytes.Buffer
	if err := WriteSARIF(&b, diags, nil); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string `json:"name"`
					Rules []struct {
						ID string `json:"id"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Results []struct {
				RuleID    string `json:"ruleId"`
				RuleIndex int    `json:"ruleIndex"`
				Level     string `json:"level"`
				Message   struct {
					Text string `json:"text"`
				} `json:"message"`
				Locations, RelatedLocations []struct {
					Physical struct {
						Artifact struct {
							URI string `json:"uri"`
						} `json:"artifactLocation"`
						Region struct{ StartLine, StartColumn, EndLine, EndColumn int } `json:"region"`
					} `json:"physicalLocation"`
				}
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || log.Schema == "" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "dockerfw" {
		t.Fatalf("%s", b.String())
	}
	run := log.Runs[0]
	uris, levels := []string{}, []string{}
	for _, r := range run.Results {
		levels = append(levels, r.Level)
		if r.Message.Text == "" || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%+v", r)
		}
		for _, l := range slices.Concat(r.Locations, r.RelatedLocations) {
			uris = append(uris, l.Physical.Artifact.URI)
			if _, err := url.Parse(l.Physical.Artifact.URI); err != nil {
				t.Error(err)
			}
			if g := l.Physical.Region; g.StartLine < 1 || g.StartColumn < 1 || g.EndLine < g.StartLine || g.EndColumn <= g.StartColumn {
				t.Errorf("%+v", g)
			}
		}
	}
	if want := []string{"note", "warning", "error", "error"}; !slices.Equal(levels, want) {
		t.Errorf("levels %q, want %q", levels, want)
	}
	if want := []string{"dir%20with%20blank/a:b.hcl", "policy.hcl", "policy.hcl", "file:///etc/policy.hcl"}; !slices.Equal(uris, want) {
		t.Errorf("references %q, want %q", uris, want)
	}
	if last := run.Results[3]; len(last.Locations) != 0 {
		t.Errorf("%+v", last)
	}
}
