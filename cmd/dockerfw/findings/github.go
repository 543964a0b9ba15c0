package findings

import (
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// WriteGitHub writes workflow commands, which GitHub shows at the lines.
func WriteGitHub(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
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
