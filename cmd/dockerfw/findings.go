package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

type (
	findingRecord struct {
		Level    string         `json:"level"`
		Code     string         `json:"code"`
		Summary  string         `json:"summary"`
		Detail   string         `json:"detail"`
		Host     string         `json:"host,omitempty"`
		Hosts    []string       `json:"hosts,omitempty"`
		AllHosts int            `json:"all_hosts,omitempty"`
		Origin   string         `json:"origin,omitempty"`
		Place    *placeRecord   `json:"place,omitempty"`
		Related  []relatedPlace `json:"related,omitempty"`
	}
	placeRecord struct {
		File      string `json:"file"`
		URI       string `json:"uri,omitempty"`
		Line      int    `json:"line"`
		Column    int    `json:"column"`
		EndLine   int    `json:"end_line"`
		EndColumn int    `json:"end_column"`
	}
	relatedPlace struct {
		*placeRecord
		Origin  string `json:"origin,omitempty"`
		Message string `json:"message"`
	}
)

// places finds the places of findings in the files whose bytes it has.
type places struct{ sources map[string][]byte }

// of is a range with columns that count code points from 1; the end is exclusive. It
// is nil for what is in no file, of which origin says where it is from.
func (p places) of(r hcl.Range) (_ *placeRecord, origin string) {
	if name, ok := diag.OutsideName(r); ok {
		return nil, name
	}
	out := &placeRecord{
		File: filepath.ToSlash(r.Filename), Line: r.Start.Line, EndLine: r.End.Line,
		Column: p.column(r.Filename, r.Start), EndColumn: p.column(r.Filename, r.End),
	}
	if !utf8.ValidString(out.File) {
		// JSON has no such names: one that people can read, and one that is exact.
		out.File, out.URI = validName(out.File), fileURI(out.File)
	}
	return out, ""
}

// column is the column of a position in code points. HCL counts grapheme clusters;
// address lists and dumps, whose bytes are not at hand, count code points already.
func (p places) column(file string, at hcl.Pos) int {
	src, ok := p.sources[file]
	if !ok || at.Byte > len(src) {
		return at.Column
	}
	line := bytes.LastIndexByte(src[:at.Byte], '\n') + 1
	return 1 + utf8.RuneCount(bytes.TrimPrefix(src[line:at.Byte], byteOrderMark))
}

// byteOrderMark may begin a file, and is no column of it.
var byteOrderMark = []byte("\ufeff")

// validName is a name with the bytes that are no UTF-8 as \xNN.
func validName(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 {
			b.WriteString(fmt.Sprintf(`\x%02x`, name[0]))
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// findingsJSON writes an array with an object for each finding.
func findingsJSON(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
	where := places{sources}
	records := []findingRecord{}
	for _, d := range diags {
		info := diag.InfoOf(d)
		r := findingRecord{
			Level: diag.Level(d), Code: info.Code.String(), Summary: d.Summary, Detail: d.Detail,
			Host: info.Host,
		}
		switch {
		case info.AllHosts:
			r.AllHosts = len(info.Hosts)
		case len(info.Hosts) > 1:
			r.Hosts = info.Hosts
		}
		if d.Subject != nil {
			r.Place, r.Origin = where.of(*d.Subject)
		}
		for _, o := range info.Related {
			related := relatedPlace{Message: o.Message}
			related.placeRecord, related.Origin = where.of(o.Range)
			r.Related = append(r.Related, related)
		}
		records = append(records, r)
	}
	return escape.JSON(w, records)
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
func findingsSARIF(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
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

// subjectOf is the place of a finding for code hosts, which show what has one: of a
// value that is in no file, the place that uses it. It is nil if there is none.
func subjectOf(where places, d *hcl.Diagnostic) *placeRecord {
	if d.Subject == nil {
		return nil
	}
	p, _ := where.of(*d.Subject)
	if used := diag.InfoOf(d).UsedAt; p == nil && used != nil {
		p, _ = where.of(*used)
	}
	return p
}

// sarifMessage keeps text from holding links, which [text](target) is in a message
// (SARIF 2.1.0, 3.11.6).
func sarifMessage(text string) sarifText {
	return sarifText{strings.ReplaceAll(text, "](", "] (")}
}

// messageOf is a finding in one text, which says what has no place in a file.
func messageOf(d *hcl.Diagnostic) string {
	info := diag.InfoOf(d)
	text := d.Summary
	if d.Subject != nil {
		if origin, ok := diag.OutsideName(*d.Subject); ok {
			text = origin + ": " + text
		}
	}
	if hosts := info.HostsText(); hosts != "" {
		text += " (" + hosts + ")"
	}
	if d.Detail != "" {
		text += ". " + d.Detail
	}
	for _, o := range info.Related {
		if origin, ok := diag.OutsideName(o.Range); ok {
			text += "\n" + origin + ": " + o.Message
		}
	}
	return text
}

// findingsGitHub writes workflow commands, which GitHub shows at the lines.
func findingsGitHub(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
	where := places{sources}
	for _, d := range diags {
		info := diag.InfoOf(d)
		command := map[string]escape.Literal{"error": "error", "warning": "warning", "note": "notice"}[diag.Level(d)]
		var properties []escape.Property
		if p := subjectOf(where, d); p != nil {
			properties = append(properties, escape.Property{Name: "file", Value: p.File},
				escape.Property{Name: "line", Value: fmt.Sprint(p.Line)}, escape.Property{Name: "endLine", Value: fmt.Sprint(p.EndLine)},
				escape.Property{Name: "col", Value: fmt.Sprint(p.Column)}, escape.Property{Name: "endColumn", Value: fmt.Sprint(p.EndColumn)})
		}
		properties = append(properties, escape.Property{Name: "title", Value: fmt.Sprintf("%s [%s]", d.Summary, info.Code)})
		if err := escape.Command(w, command, properties, messageOf(d)); err != nil {
			return err
		}
	}
	return nil
}
