package escapetest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// Rendered is a document as rendered from GitHub's Markdown.
type Rendered struct {
	// Spans and Blocks are the contents of code in the order of the document.
	Spans, Blocks []string
	// Text is what is outside of code, blocks in lines of their own.
	Text string
	// Outline are the kinds of all nodes but text, with their depth: two documents that
	// differ in foreign text alone have the same.
	Outline []string
	// Live says what acts or could: links, images, HTML that is not ours, mentions,
	// references, emoji.
	Live []string
}

// ourTags are the tags and comments that dockerfw writes.
var ourTags = []string{"<!-- dockerfw diff -->", "<!-- dockerfw report -->", "<br>", "<details>", "</details>", "<summary>", "</summary>"}

// found matches what code hosts search in rendered text.
var found = regexp.MustCompile(`@[\w-]|[#!$%&~][\w"]|:[\w+-]+:|(?i:https?://\S|www\.\w|\bgh-[0-9]|\b[0-9a-f]{7,40}\b)|\b[A-Z]+-[0-9]|\w@\w`)

var renderer = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote, extension.DefinitionList))

// Markdown renders a document.
func Markdown(document string) Rendered {
	source := []byte(document)
	var out Rendered
	var plain strings.Builder
	depth := 0
	err := ast.Walk(renderer.Parser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		_, isText := n.(*ast.Text)
		_, isString := n.(*ast.String)
		if !entering {
			if n.Type() == ast.TypeBlock {
				plain.WriteByte('\n')
			}
			depth--
			return ast.WalkContinue, nil
		}
		depth++
		if !isText && !isString {
			out.Outline = append(out.Outline, fmt.Sprintf("%*s%s", depth, "", n.Kind()))
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			var code []byte
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				if piece, ok := c.(*ast.Text); ok {
					code = append(code, piece.Value(source)...)
				}
			}
			out.Spans = append(out.Spans, string(code))
			plain.WriteByte('\n')
			depth--
			return ast.WalkSkipChildren, nil
		case *ast.FencedCodeBlock:
			out.Blocks = append(out.Blocks, string(n.Lines().Value(source)))
		case *ast.CodeBlock:
			out.Live = append(out.Live, "indented code: "+string(n.Lines().Value(source)))
		case *ast.Text:
			plain.Write(unescaped(n.Segment.Value(source)))
			if n.SoftLineBreak() {
				plain.WriteByte('\n')
			}
		case *ast.String:
			plain.Write(n.Value)
		case *ast.RawHTML:
			out.html(string(n.Segments.Value(source)))
		case *ast.HTMLBlock:
			out.html(string(n.Lines().Value(source)))
			if n.HasClosure() {
				out.html(string(n.ClosureLine.Value(source)))
			}
		case *ast.Link, *ast.Image, *ast.AutoLink, *extast.Strikethrough, *extast.TaskCheckBox, *extast.FootnoteLink, *extast.DefinitionList:
			out.Live = append(out.Live, n.Kind().String())
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		panic(err) // the walker above returns none
	}
	out.Text = plain.String()
	out.Live = append(out.Live, found.FindAllString(out.Text, -1)...)
	return out
}

// html removes our tags and returns any others.
func (r *Rendered) html(raw string) {
	for _, t := range ourTags {
		raw = strings.ReplaceAll(raw, t, "")
	}
	if strings.Contains(raw, "<") {
		r.Live = append(r.Live, "HTML "+raw)
	}
}

var reference = regexp.MustCompile(`&#[0-9]+;`)

// unescaped resolves numeric references, as the renderer does when it writes HTML.
func unescaped(s []byte) []byte {
	return reference.ReplaceAllFunc(s, func(ref []byte) []byte {
		var r rune
		fmt.Sscanf(string(ref), "&#%d;", &r)
		return []byte(string(r))
	})
}
