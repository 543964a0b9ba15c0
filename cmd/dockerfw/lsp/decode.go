package lsp

import (
	"context"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/hcl-lang/decoder"
	"github.com/hashicorp/hcl-lang/lang"
	"github.com/hashicorp/hcl/v2"
	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/parser"
)

// view is one document with the files of its policy as they are now.
type view struct {
	document *document
	files    map[string]*hcl.File
	decoder  *decoder.PathDecoder
}

// The schema and the functions are the same for every policy; hcl-lang does not change them. Other commands
// than lsp start without them.
var (
	allBlocks    = sync.OnceValue(policySchema)
	allFunctions = sync.OnceValue(functions)
)

// view returns nil for a document that hcl-lang cannot help with: one in the JSON syntax, one
// that is not open, or one beyond the budgets of a policy.
func (s *Server) view(u protocol.DocumentURI) *view {
	path, err := pathOf(u)
	if err != nil || strings.HasSuffix(path, ".json") {
		return nil
	}
	d := s.files.opened(path)
	if d == nil {
		return nil
	}
	v := &view{document: d, files: s.files.parsed(s.files.policyOf(path))}
	if v.files[path] == nil {
		// A new file that is not on the disk yet.
		file := parser.ParseIncomplete(d.text, path)
		if file == nil {
			return nil
		}
		v.files[path] = file
	}
	dir := lang.Path{Path: filepath.Dir(path), LanguageID: "dockerfw"}
	all := &decoder.PathContext{Schema: allBlocks(), Files: v.files, Functions: allFunctions()}
	reader := paths{dir, all}
	// Errors below are of files that are being typed: what was found until there is used.
	if v.decoder, err = decoder.NewDecoder(reader).Path(dir); err != nil {
		return nil
	}
	if targets, err := v.decoder.CollectReferenceTargets(); err == nil {
		all.ReferenceTargets = targets
	}
	if origins, err := v.decoder.CollectReferenceOrigins(); err == nil {
		all.ReferenceOrigins = origins
	}
	return v
}

// paths is the decoder.PathReader of one policy.
type paths struct {
	dir lang.Path
	all *decoder.PathContext
}

func (p paths) Paths(context.Context) []lang.Path { return []lang.Path{p.dir} }

func (p paths) PathContext(lang.Path) (*decoder.PathContext, error) { return p.all, nil }

// occurrences returns all names in the files of the policy.
func (v *view) occurrences() []parser.Occurrence {
	var all []*hcl.File
	for _, file := range v.files {
		all = append(all, file)
	}
	return parser.Occurrences(all)
}

// occurrenceAt returns the name at a position, or the name of the reference there, such as ipset.NAME; nil if
// there is none.
func (v *view) occurrenceAt(all []parser.Occurrence, p protocol.Position) *parser.Occurrence {
	return v.find(all, p, func(o parser.Occurrence) hcl.Range { return o.Path })
}

// nameAt returns the name at a position; nil if there is none.
func (v *view) nameAt(all []parser.Occurrence, p protocol.Position) *parser.Occurrence {
	return v.find(all, p, func(o parser.Occurrence) hcl.Range { return o.Range })
}

func (v *view) find(all []parser.Occurrence, p protocol.Position, where func(parser.Occurrence) hcl.Range) *parser.Occurrence {
	offset := v.document.offset(p)
	for i, o := range all {
		// A cursor behind the last letter is at the name, too.
		if r := where(o); r.Filename == v.document.path && r.Start.Byte <= offset && offset <= r.End.Byte {
			return &all[i]
		}
	}
	return nil
}

// sameName reports whether two occurrences are of one name.
func sameName(a, b parser.Occurrence) bool { return a.Kind == b.Kind && a.Name == b.Name }
