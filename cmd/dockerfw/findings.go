package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/build"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type (
	findingRecord struct {
		Level   string         `json:"level"`
		Code    string         `json:"code"`
		Summary string         `json:"summary"`
		Detail  string         `json:"detail"`
		Host    string         `json:"host,omitempty"`
		Place   *placeRecord   `json:"place,omitempty"`
		Related []relatedPlace `json:"related,omitempty"`
	}
	placeRecord struct {
		File      string `json:"file"`
		Line      int    `json:"line"`
		Column    int    `json:"column"`
		EndLine   int    `json:"end_line"`
		EndColumn int    `json:"end_column"`
	}
	relatedPlace struct {
		placeRecord
		Message string `json:"message"`
	}
)

// placeOf is a range with columns that count from 1; the end is exclusive.
func placeOf(r hcl.Range) placeRecord {
	return placeRecord{filepath.ToSlash(r.Filename), r.Start.Line, r.Start.Column, r.End.Line, r.End.Column}
}

// findingsJSON writes an array with an object for each finding.
func findingsJSON(w io.Writer, diags hcl.Diagnostics) error {
	records := []findingRecord{}
	for _, d := range diags {
		info := diag.InfoOf(d)
		r := findingRecord{Level: diag.Level(d), Code: string(info.Code), Summary: d.Summary, Detail: d.Detail, Host: info.Host}
		if d.Subject != nil {
			place := placeOf(*d.Subject)
			r.Place = &place
		}
		for _, o := range info.Related {
			r.Related = append(r.Related, relatedPlace{placeOf(o.Range), o.Message})
		}
		records = append(records, r)
	}
	return writeJSON(w, records)
}

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

func sarifPlace(r hcl.Range) sarifLocation {
	var l sarifLocation
	p := placeOf(r)
	l.Physical.Artifact.URI = fileURI(p.File)
	region := &l.Physical.Region
	region.StartLine, region.StartColumn, region.EndLine, region.EndColumn = p.Line, p.Column, p.EndLine, p.EndColumn
	return l
}

// fileURI is a path with slashes as a reference that SARIF takes: relative ones stay
// so, and a colon or a blank in a name is no scheme and no end.
func fileURI(path string) string {
	if strings.HasPrefix(path, "/") {
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return (&url.URL{Path: path}).String()
}

// findingsSARIF writes a log of SARIF 2.1.0 (OASIS), which code hosts show beside
// the lines of a merge request.
func findingsSARIF(w io.Writer, diags hcl.Diagnostics) error {
	var codes []string
	for _, d := range diags {
		codes = append(codes, string(diag.InfoOf(d).Code))
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "dockerfw", Version: build.Version, Rules: []sarifRule{}}
	for _, c := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c})
	}
	for _, d := range diags {
		info := diag.InfoOf(d)
		index, _ := slices.BinarySearch(codes, string(info.Code))
		r := sarifResult{RuleID: string(info.Code), RuleIndex: index, Level: diag.Level(d), Message: sarifText{messageOf(d)}}
		if d.Subject != nil {
			r.Locations = []sarifLocation{sarifPlace(*d.Subject)}
		}
		for i, o := range info.Related {
			l := sarifPlace(o.Range)
			l.ID, l.Message = i+1, &sarifText{o.Message}
			r.RelatedLocations = append(r.RelatedLocations, l)
		}
		run.Results = append(run.Results, r)
	}
	return writeJSON(w, sarifLog{
		Schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// messageOf is a finding in one text.
func messageOf(d *hcl.Diagnostic) string {
	text := d.Summary
	if host := diag.InfoOf(d).Host; host != "" {
		text += " (host " + host + ")"
	}
	if d.Detail != "" {
		text += ". " + d.Detail
	}
	return text
}

// findingsGitHub writes workflow commands, which GitHub shows at the lines. A value
// ends at a comma, and % and newlines are written by their numbers.
func findingsGitHub(w io.Writer, diags hcl.Diagnostics) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, d := range diags {
		info := diag.InfoOf(d)
		command := map[string]string{"error": "error", "warning": "warning", "note": "notice"}[diag.Level(d)]
		place := ""
		if d.Subject != nil {
			p := placeOf(*d.Subject)
			place = fmt.Sprintf("file=%s,line=%d,endLine=%d,col=%d,endColumn=%d,", property.Replace(p.File), p.Line, p.EndLine, p.Column, p.EndColumn)
		}
		title := property.Replace(fmt.Sprintf("%s [%s]", d.Summary, info.Code))
		if _, err := fmt.Fprintf(w, "::%s %stitle=%s::%s\n", command, place, title, data.Replace(messageOf(d))); err != nil {
			return err
		}
	}
	return nil
}
