package lsp

import (
	"context"

	"github.com/hashicorp/hcl-lang/decoder"
	"github.com/hashicorp/hcl-lang/lang"
	"go.lsp.dev/protocol"

	"github.com/dockerfw/dockerfw/parser"
)

// formatting returns the edit that dockerfw fmt would make. Text with errors stays as it is.
func (s *Server) formatting(_ context.Context, p *protocol.DocumentFormattingParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, nil
	}
	d := s.files.opened(path)
	if d == nil {
		return nil, nil
	}
	formatted, diags := parser.Format(d.text, path)
	if diags.HasErrors() || string(formatted) == string(d.text) {
		return []protocol.TextEdit{}, nil
	}
	return []protocol.TextEdit{{Range: d.whole(), NewText: string(formatted)}}, nil
}

// symbols returns the blocks of a document for an outline.
func (s *Server) symbols(_ context.Context, p *protocol.DocumentSymbolParams) (any, error) {
	out := []protocol.DocumentSymbol{}
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return out, nil
	}
	found, err := v.decoder.SymbolsInFile(v.document.path)
	if err != nil {
		return out, nil
	}
	return v.outline(found), nil
}

func (v *view) outline(found []decoder.Symbol) []protocol.DocumentSymbol {
	out := []protocol.DocumentSymbol{}
	for _, symbol := range found {
		kind := protocol.SymbolKindProperty
		if _, block := symbol.(*decoder.BlockSymbol); block {
			kind = protocol.SymbolKindClass
		}
		rng := v.document.rangeOf(symbol.Range())
		out = append(out, protocol.DocumentSymbol{
			Name: symbol.Name(), Kind: kind, Range: rng, SelectionRange: rng, Children: v.outline(symbol.NestedSymbols()),
		})
	}
	return out
}

// tokenTypes are the semantic tokens of the protocol for those of hcl-lang.
var tokenTypes = map[lang.SemanticTokenType]protocol.SemanticTokenTypes{
	lang.TokenAttrName:      protocol.SemanticTokenProperty,
	lang.TokenBlockType:     protocol.SemanticTokenType,
	lang.TokenBlockLabel:    protocol.SemanticTokenEnumMember,
	lang.TokenBool:          protocol.SemanticTokenKeyword,
	lang.TokenString:        protocol.SemanticTokenString,
	lang.TokenNumber:        protocol.SemanticTokenNumber,
	lang.TokenObjectKey:     protocol.SemanticTokenProperty,
	lang.TokenMapKey:        protocol.SemanticTokenProperty,
	lang.TokenKeyword:       protocol.SemanticTokenKeyword,
	lang.TokenReferenceStep: protocol.SemanticTokenVariable,
	lang.TokenTypeComplex:   protocol.SemanticTokenFunction,
	lang.TokenTypePrimitive: protocol.SemanticTokenKeyword,
	lang.TokenFunctionName:  protocol.SemanticTokenFunction,
}

// legend numbers the types of tokens.
var legend, tokenNumbers = func() (protocol.SemanticTokensLegend, map[protocol.SemanticTokenTypes]uint32) {
	numbers := map[protocol.SemanticTokenTypes]uint32{}
	var all []protocol.SemanticTokenTypes
	for _, t := range lang.SupportedSemanticTokenTypes {
		name := tokenTypes[t]
		if _, seen := numbers[name]; !seen {
			numbers[name] = uint32(len(all))
			all = append(all, name)
		}
	}
	return protocol.SemanticTokensLegend{TokenTypes: all, TokenModifiers: []protocol.SemanticTokenModifiers{}}, numbers
}()

// semanticTokens returns five numbers for each token: lines and UTF-16 units since the token
// before it, its length, its type and its modifiers.
func (s *Server) semanticTokens(ctx context.Context, p *protocol.SemanticTokensParams) (any, error) {
	out := &protocol.SemanticTokens{Data: []uint32{}}
	v := s.view(p.TextDocument.URI)
	if v == nil {
		return out, nil
	}
	tokens, err := v.decoder.SemanticTokensInFile(ctx, v.document.path)
	if err != nil {
		return out, nil
	}
	var last protocol.Position
	for _, token := range tokens {
		rng := v.document.rangeOf(token.Range)
		number, known := tokenNumbers[tokenTypes[token.Type]]
		if !known || rng.Start.Line != rng.End.Line || before(rng.Start, last) {
			continue // editors take tokens of one line, in order
		}
		start := rng.Start.Character
		if rng.Start.Line == last.Line {
			start -= last.Character
		}
		out.Data = append(out.Data, rng.Start.Line-last.Line, start, rng.End.Character-rng.Start.Character, number, 0)
		last = rng.Start
	}
	return out, nil
}

func before(a, b protocol.Position) bool {
	return a.Line < b.Line || a.Line == b.Line && a.Character < b.Character
}
