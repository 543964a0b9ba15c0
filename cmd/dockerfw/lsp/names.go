package lsp

import (
	"context"
	"path/filepath"

	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/parser"
)

// definition finds where the name at a position is defined, or the file that a string of
// files, exclude_files or file() refers to.
func (s *Server) definition(_ context.Context, p *protocol.DefinitionParams) (any, error) {
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return nil, nil
	}
	all := v.occurrences()
	o := v.occurrenceAt(all, p.Position)
	if o == nil {
		return s.fileAt(v, p.Position), nil
	}
	out := []protocol.Location{}
	for _, other := range all {
		if other.Definition && sameName(other, *o) {
			out = append(out, s.location(other.Range))
		}
	}
	return out, nil
}

// fileAt returns the start of the file that the string at a position names; nil if that is
// not the name of a file.
func (s *Server) fileAt(v *view, p protocol.Position) any {
	name := parser.FileNameAt(v.files[v.document.path], v.document.offset(p))
	if name == "" {
		return nil
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(v.document.path), filepath.FromSlash(name))
	}
	if _, err := s.files.Stat(name); err != nil {
		return nil
	}
	return []protocol.Location{{URI: uriOf(name)}}
}

func (s *Server) references(_ context.Context, p *protocol.ReferenceParams) (any, error) {
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return nil, nil
	}
	all := v.occurrences()
	out := []protocol.Location{}
	if o := v.occurrenceAt(all, p.Position); o != nil {
		for _, other := range all {
			if sameName(other, *o) && (!other.Definition || p.Context.IncludeDeclaration) {
				out = append(out, s.location(other.Range))
			}
		}
	}
	return out, nil
}

// prepareRename returns the range of the name at a position; null if there is none that can
// be renamed.
func (s *Server) prepareRename(_ context.Context, p *protocol.PrepareRenameParams) (any, error) {
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return nil, nil
	}
	if o := v.nameAt(v.occurrences(), p.Position); o != nil {
		rng := v.document.rangeOf(o.Range)
		return &rng, nil
	}
	return nil, nil
}

// rename changes a name in all files of the policy, or nothing.
func (s *Server) rename(_ context.Context, p *protocol.RenameParams) (any, error) {
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return nil, nil
	}
	all := v.occurrences()
	o := v.nameAt(all, p.Position)
	if o == nil {
		return nil, invalid("there is no name of a set, rule, variable, local or host here")
	}
	if problem := parser.CheckName(o.Kind, p.NewName); problem != "" {
		return nil, invalid("%s", problem)
	}
	changes := map[protocol.DocumentURI][]protocol.TextEdit{}
	for _, other := range all {
		switch {
		case sameName(other, *o):
			l := s.location(other.Range)
			changes[l.URI] = append(changes[l.URI], protocol.TextEdit{Range: l.Range, NewText: p.NewName})
		case other.Definition && other.Kind == o.Kind && other.Name == p.NewName:
			return nil, invalid("%s is defined already, at %s:%d", p.NewName, filepath.Base(other.Range.Filename), other.Range.Start.Line)
		}
	}
	return &protocol.WorkspaceEdit{Changes: changes}, nil
}
