package parser

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// FuzzExplainSyntax searches for errors that are lost by rewording, and for places outside
// the file.
func FuzzExplainSyntax(f *testing.F) {
	for _, seed := range []string{"a = \"x\n}", "a = ['b', “c”]", "a = [2001:db8::1, 192.0.2.1/24]", "a: 1\nb {", "a = [\"b\"\n\"c\"]", "a \"b\"\n}", "{", "a = \"${[1 2]}\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		_, diags := hclsyntax.ParseConfig(text, "x", hcl.InitialPos)
		had := diags.HasErrors()
		out := explainSyntax(text, "x", diags)
		if out.HasErrors() != had {
			t.Errorf("errors: %t, after rewording: %t", had, out.HasErrors())
		}
		for _, d := range out {
			if d.Subject != nil && (d.Subject.End.Byte > len(text) || d.Subject.Start.Byte > d.Subject.End.Byte) {
				t.Errorf("%v", d.Subject)
			}
		}
	})
}

func TestManyErrorsOnOneLineAreExplainedInTime(t *testing.T) {
	text := []byte("a = [" + strings.Repeat("'x' 1.2.3.4 ", 10_000) + "]\n")
	_, diags := hclsyntax.ParseConfig(text, "x", hcl.InitialPos)
	start := time.Now()
	if out := explainSyntax(text, "x", diags); len(out) != 20_000 {
		t.Errorf("%d errors", len(out))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
