package escape

import (
	"html/template"
	"io"
	"strings"
)

// HTML writes a page. Package html/template escapes what the template inserts for its context;
// beyond that, characters that Terminal escapes are written as there, so that a page that is
// printed to a terminal or a log is text too, and what a browser does not show is visible.
func HTML(w io.Writer, t *template.Template, data any) error {
	var page strings.Builder
	if err := t.Execute(&page, data); err != nil {
		return err
	}
	_, err := io.WriteString(w, string(Lines(page.String())))
	return err
}
