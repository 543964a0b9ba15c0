package parser

import (
	"runtime"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/parser/budget"
)

// pieceSize is the number of bytes from which on a piece of a file ends after the next block. The parser of HCL keeps all
// tokens of what it parses in one list, a hundred bytes each, which grows by copying: that of a small piece is copied less
// often, and stays in the processor's caches.
const pieceSize = 8 << 10

// parseHCL parses and instruments a file in native syntax, in pieces that begin at cuts: several at a time, and with
// less memory than at once. After any error it parses the whole file, for the diagnostics.
func parseHCL(text []byte, name string, cuts []hcl.Pos) (*hcl.File, hcl.Diagnostics) {
	if file := parsePieces(text, name, cuts); file != nil {
		return file, nil
	}
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	budget.Instrument(file.Body.(*hclsyntax.Body))
	return file, diags
}

// parsePieces returns nil if there is only one piece, or any error.
func parsePieces(text []byte, name string, cuts []hcl.Pos) *hcl.File {
	if len(cuts) == 0 {
		return nil
	}
	bodies := make([]*hclsyntax.Body, len(cuts)+1)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range bodies {
		group.Go(func() error {
			start, end := hcl.InitialPos, len(text)
			if i > 0 {
				start = cuts[i-1]
			}
			if i < len(cuts) {
				end = cuts[i].Byte
			}
			file, diags := hclsyntax.ParseConfig(text[start.Byte:end], name, start)
			if len(diags) > 0 {
				return diags
			}
			bodies[i] = file.Body.(*hclsyntax.Body)
			budget.Instrument(bodies[i])
			return nil
		})
	}
	if group.Wait() != nil {
		return nil
	}
	first, last := bodies[0], bodies[len(bodies)-1]
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}, SrcRange: hcl.RangeBetween(first.SrcRange, last.SrcRange), EndRange: last.EndRange}
	for _, body := range bodies {
		for key, attribute := range body.Attributes {
			if whole.Attributes[key] != nil {
				return nil // an error
			}
			whole.Attributes[key] = attribute
		}
		whole.Blocks = append(whole.Blocks, body.Blocks...)
	}
	return &hcl.File{Body: whole, Bytes: text}
}
