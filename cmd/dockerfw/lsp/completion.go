package lsp

import (
	"context"

	"github.com/hashicorp/hcl-lang/lang"
	"go.lsp.dev/protocol"
)

// completion proposes blocks, attributes, values, names and functions. Without a proposal the
// list is empty: editors then offer words of the file.
func (s *Server) completion(ctx context.Context, p *protocol.CompletionParams) (any, error) {
	out := &protocol.CompletionList{Items: []protocol.CompletionItem{}}
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return out, nil
	}
	found, err := v.decoder.CompletionAtPos(ctx, v.document.path, v.document.pos(p.Position))
	if err != nil {
		return out, nil // the position is in no place that takes a value or a block
	}
	out.IsIncomplete = !found.IsComplete
	for _, c := range found.List {
		out.Items = append(out.Items, v.item(c))
	}
	return out, nil
}

var itemKinds = map[lang.CandidateKind]protocol.CompletionItemKind{
	lang.AttributeCandidateKind: protocol.CompletionItemKindProperty,
	lang.BlockCandidateKind:     protocol.CompletionItemKindClass,
	lang.LabelCandidateKind:     protocol.CompletionItemKindField,
	lang.BoolCandidateKind:      protocol.CompletionItemKindEnumMember,
	lang.StringCandidateKind:    protocol.CompletionItemKindEnumMember,
	lang.KeywordCandidateKind:   protocol.CompletionItemKindKeyword,
	lang.NumberCandidateKind:    protocol.CompletionItemKindValue,
	lang.ReferenceCandidateKind: protocol.CompletionItemKindVariable,
	lang.FunctionCandidateKind:  protocol.CompletionItemKindFunction,
}

func (v *view) item(c lang.Candidate) protocol.CompletionItem {
	kind, known := itemKinds[c.Kind]
	if !known {
		kind = protocol.CompletionItemKindText
	}
	out := protocol.CompletionItem{
		Label: c.Label, Kind: kind, Detail: c.Detail, SortText: c.SortText,
		InsertTextFormat: protocol.InsertTextFormatPlainText,
		TextEdit:         &protocol.TextEdit{Range: v.document.rangeOf(c.TextEdit.Range), NewText: c.TextEdit.NewText},
	}
	if c.Kind == lang.FunctionCandidateKind {
		out.SortText = "~" + c.Label // behind the values and names, which editors sort by their labels
	}
	if c.Description.Value != "" {
		out.Documentation = markup(c.Description)
	}
	return out
}

func markup(m lang.MarkupContent) protocol.MarkupContent {
	if m.Kind == lang.MarkdownKind {
		return protocol.MarkupContent{Kind: protocol.Markdown, Value: m.Value}
	}
	return protocol.MarkupContent{Kind: protocol.PlainText, Value: m.Value}
}
