package findings

import (
	"io"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

type (
	record struct {
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

// WriteJSON writes an array with an object for each finding.
func WriteJSON(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
	where := places{sources}
	records := []record{}
	for _, d := range diags {
		info := diag.InfoOf(d)
		r := record{
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
