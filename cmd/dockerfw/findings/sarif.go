package findings

import (
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// The parts of SARIF 2.1.0 that are used here.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID           string          `json:"ruleId"`
		RuleIndex        int             `json:"ruleIndex"`
		Level            string          `json:"level"`
		Message          sarifText       `json:"message"`
		Locations        []sarifLocation `json:"locations,omitempty"`
		RelatedLocations []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		ID       int        `json:"id,omitempty"`
		Message  *sarifText `json:"message,omitempty"`
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
				EndLine     int `json:"endLine"`
				EndColumn   int `json:"endColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
)

func sarifPlace(p *placeRecord) sarifLocation {
	var l sarifLocation
	l.Physical.Artifact.URI = p.URI
	if p.URI == "" {
		l.Physical.Artifact.URI = fileURI(p.File)
	}
	region := &l.Physical.Region
	region.StartLine, region.StartColumn, region.EndLine, region.EndColumn = p.Line, p.Column, p.EndLine, p.EndColumn
	return l
}

// fileURI is a path with slashes as a URI reference for SARIF: relative paths stay relative, and
// colons and blanks are escaped.
func fileURI(path string) string {
	if strings.HasPrefix(path, "/") {
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return (&url.URL{Path: path}).String()
}

// WriteSARIF writes a log of SARIF 2.1.0 (OASIS), which code hosts show beside
// the lines of a merge request.
func WriteSARIF(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
	where := places{sources}
	var codes []string
	for _, d := range diags {
		codes = append(codes, diag.InfoOf(d).Code.String())
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "dockerfw", Version: driver.Version, Rules: []sarifRule{}}
	for _, c := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c})
	}
	for _, d := range diags {
		info := diag.InfoOf(d)
		index, _ := slices.BinarySearch(codes, info.Code.String())
		r := sarifResult{RuleID: info.Code.String(), RuleIndex: index, Level: diag.Level(d), Message: sarifMessage(messageOf(d))}
		if p := subjectOf(where, d); p != nil {
			r.Locations = []sarifLocation{sarifPlace(p)}
		}
		for i, o := range info.Related {
			if p, _ := where.of(o.Range); p != nil {
				l := sarifPlace(p)
				message := sarifMessage(o.Message)
				l.ID, l.Message = i+1, &message
				r.RelatedLocations = append(r.RelatedLocations, l)
			}
		}
		run.Results = append(run.Results, r)
	}
	return escape.JSON(w, sarifLog{
		Schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// sarifMessage escapes links: [text](target) is one in a message (SARIF 2.1.0, 3.11.6).
func sarifMessage(text string) sarifText {
	return sarifText{strings.ReplaceAll(text, "](", "] (")}
}
