package escape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// JSON writes v as indented JSON in which characters that Terminal escapes are \uXXXX:
// programs read the same strings, and terminals and CI runners interpret nothing in them.
func JSON(w io.Writer, v any) error {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range inlineCommand.ReplaceAllString(plain.String(), `$1\u005b`) {
		switch {
		case r < 0x7f || !live(r): // below, only newlines between elements are left
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Property is a property of a workflow command.
type Property struct{ Name, Value string }

// Command writes a workflow command, which GitHub's runner executes. The values of
// properties and the data, of any number of lines, may be foreign text.
func Command(w io.Writer, name Literal, properties []Property, data string) error {
	var parts []string
	for _, p := range properties {
		parts = append(parts, p.Name+"="+commandProperty.Replace(commandText(p.Value)))
	}
	_, err := fmt.Fprintf(w, "::%s %s::%s\n", string(name), strings.Join(parts, ","), commandData.Replace(commandText(data)))
	return err
}

var (
	commandData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func commandText(s string) string {
	parts := strings.Split(s, "\n")
	for i, p := range parts {
		parts[i] = string(Terminal(p))
	}
	return strings.Join(parts, "\n")
}
