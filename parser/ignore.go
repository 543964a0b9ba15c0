package parser

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Ignore is a comment dockerfw:ignore CODE REASON, which silences warnings.
type Ignore struct {
	// Code is the name of a code, as written.
	Code  string
	Range hcl.Range // of the comment
	// First and Last are the lines it applies to: its own line or, if it is alone on it,
	// the next one; and all of a block that begins there.
	First, Last int
	used        bool
}

const ignoreWord = "dockerfw:ignore"

var ignoreComment = regexp.MustCompile(ignoreWord + `(?:\s+(\S+))?(?:\s+(.*\S))?`)

// Ignores finds the comments of a policy in HCL's own syntax; JSON has none.
func (s *Source) Ignores() ([]*Ignore, hcl.Diagnostics) {
	var out []*Ignore
	var diags hcl.Diagnostics
	files := s.parser.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		body, native := files[name].Body.(*hclsyntax.Body)
		if !native || !bytes.Contains(files[name].Bytes, []byte(ignoreWord)) {
			continue // to scan a large policy again takes a twentieth of the time of compiling it
		}
		tokens, _ := hclsyntax.LexConfig(files[name].Bytes, name, hcl.InitialPos)
		for i, t := range tokens {
			if t.Type != hclsyntax.TokenComment {
				continue
			}
			text := strings.TrimSuffix(strings.TrimSpace(string(t.Bytes)), "*/")
			m := ignoreComment.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			ignore := &Ignore{Code: m[1], Range: t.Range}
			// A line comment goes to the beginning of the next line.
			if r := &ignore.Range; r.End.Line > r.Start.Line {
				text := strings.TrimRight(string(t.Bytes), "\r\n")
				r.End = hcl.Pos{Line: r.Start.Line, Column: r.Start.Column + diag.Columns(text), Byte: r.Start.Byte + len(text)}
			}
			if m[1] == "" || m[2] == "" {
				diags = append(diags, diag.Warn(diag.CodeIgnore, ignore.Range, "dockerfw:ignore without a reason",
					"Write the class of the warning, which is in brackets at its end, and the reason: dockerfw:ignore redundant kept for the audit."))
				continue
			}
			ignore.First = target(tokens, i)
			ignore.Last = ignore.First
			if end := blockFrom(body, ignore.First); end > 0 {
				ignore.Last = end
			}
			out = append(out, ignore)
		}
	}
	return out, diags
}

// target is the line that a comment is for.
func target(tokens hclsyntax.Tokens, comment int) int {
	line := tokens[comment].Range.Start.Line
	for i := comment - 1; i >= 0 && tokens[i].Range.End.Line == line; i-- {
		if tokens[i].Type != hclsyntax.TokenNewline && tokens[i].Type != hclsyntax.TokenComment {
			return line // there is code before it
		}
	}
	for _, t := range tokens[comment+1:] {
		if t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenComment {
			return t.Range.Start.Line
		}
	}
	return line
}

// blockFrom returns the last line of the block that begins on a line, or 0.
func blockFrom(body *hclsyntax.Body, line int) int {
	for _, b := range body.Blocks {
		if b.TypeRange.Start.Line == line {
			return b.CloseBraceRange.End.Line
		}
		if end := blockFrom(b.Body, line); end > 0 {
			return end
		}
	}
	return 0
}

// Silence returns diags without the warnings that a comment silences. Errors remain.
func Silence(diags hcl.Diagnostics, ignores []*Ignore) hcl.Diagnostics {
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if d.Severity == hcl.DiagError || d.Subject == nil {
			return false
		}
		silenced := false
		for _, i := range ignores {
			line := d.Subject.Start.Line
			if i.Code == diag.InfoOf(d).Code.String() && i.Range.Filename == d.Subject.Filename && i.First <= line && line <= i.Last {
				i.used, silenced = true, true
			}
		}
		return silenced
	})
}

// Unused warns of comments that silence nothing. It is called after all warnings were
// silenced. Comments for classes that compare the policy with what is published are never unused:
// which warnings there are depends on more than the policy.
func Unused(ignores []*Ignore) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, i := range ignores {
		if !i.used && !aboutPublished(i.Code) {
			out = append(out, diag.Warn(diag.CodeIgnore, i.Range, "unused dockerfw:ignore",
				fmt.Sprintf("There is no warning of class %s here. Remove the comment.", i.Code)))
		}
	}
	return out
}

func aboutPublished(code string) bool {
	return slices.ContainsFunc(diag.Classes(), func(c diag.Class) bool { return c.Name == code && c.Published })
}
