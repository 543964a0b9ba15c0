package parser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Format returns a policy file in the canonical style. Text that is not HCL is
// not touched.
func Format(text []byte, name string) ([]byte, hcl.Diagnostics) {
	if d := budget.Text(len(text), name); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if diags := notText(text, name); diags != nil {
		return nil, diags
	}
	if _, d := budget.Config(text, name, pieceSize); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if _, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos); diags.HasErrors() {
		return nil, diag.WithCode(diag.CodeSyntax, explainSyntax(text, name, diags))
	}
	return hclwrite.Format(text), nil
}

// FormattableFiles returns the file name, or the *.hcl files of the directory name.
func FormattableFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if !strings.HasSuffix(name, ".hcl") {
			return nil, fmt.Errorf("%s: only *.hcl files can be formatted", name)
		}
		if err := files.Check(name, info); err != nil {
			return nil, err
		}
		return []string{name}, nil
	}
	dir, names, err := policyFiles(files.Disk, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var out []string
	for _, f := range names {
		if strings.HasSuffix(f, ".hcl") {
			out = append(out, filepath.Join(dir, f))
		}
	}
	return out, nil
}
