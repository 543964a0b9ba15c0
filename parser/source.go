package parser

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Source is a policy's files, read and checked for syntax, not yet evaluated.
type Source struct {
	// Dir reads the files beside the policy.
	Dir *Dir
	// Names of the policy's files, relative to its directory, in lexical order.
	Names []string

	parser *hclparse.Parser
	// blocks at the top, in egress and in input, by type. Of blocks with the same name only the
	// first is here.
	blocks, egress, input map[string][]*hcl.Block
	// hosts by label, "" for the unlabeled one.
	hosts map[string]*hcl.Block
	// functions, source bytes and values from outside are the same for every host.
	functions functions
	sources   map[string][]byte
	given     map[string]given
	// texts are values that are not in files, by the file names of their ranges.
	texts map[string][]byte
	// marked are the files that began with a byte order mark, with it.
	marked map[string][]byte
	shared sharedRules
}

// Digests returns the SHA-256, in hexadecimal, of the policy's files and of each file that
// was opened and closed so far, by the names in the policy.
func (s *Source) Digests() map[string]string {
	s.Dir.mu.Lock()
	defer s.Dir.mu.Unlock()
	out := maps.Clone(s.Dir.digests)
	for _, name := range s.Names {
		text, marked := s.marked[s.Dir.Display(name)]
		if !marked {
			text = s.sources[s.Dir.Display(name)]
		}
		sum := sha256.Sum256(text)
		out[name] = hex.EncodeToString(sum[:])
	}
	return out
}

// Close releases the directory.
func (s *Source) Close() error { return s.Dir.root.Close() }

// Forget drops the syntax trees, which take 2.5 kB for each rule. After it there are only Names,
// Digests and Close.
func (s *Source) Forget() {
	s.parser, s.blocks, s.egress, s.input, s.hosts = nil, nil, nil, nil, nil
	s.functions, s.given = functions{}, nil
	s.shared.rules, s.shared.constant = nil, nil
}

// Sources returns the bytes of all files read so far, by the names in diagnostics, for
// diag.Printer.
func (s *Source) Sources() map[string][]byte {
	out := s.parser.Sources()
	maps.Copy(out, s.texts)
	return out
}

// Load reads the policy at name, a file or a directory, and the files of values in
// inputs, and checks their syntax. With allowOutside, expressions and address lists
// may refer to files anywhere.
//
// The Source is not nil, even with errors, so that they can be printed with its Sources.
func Load(name string, inputs Inputs, allowOutside bool) (*Source, hcl.Diagnostics) {
	return LoadFrom(files.Disk, name, inputs, allowOutside)
}

// LoadFrom is Load for a policy in a tree. The files of values are always on the disk,
// because they belong to the command line, not to the policy.
func LoadFrom(tree files.Tree, name string, inputs Inputs, allowOutside bool) (*Source, hcl.Diagnostics) {
	s := &Source{parser: hclparse.NewParser(), marked: map[string][]byte{}}
	dir, names, err := policyFiles(tree, name)
	if err != nil {
		return s, cannotRead("policy", name, err)
	}
	root, err := tree.OpenRoot(dir)
	if err != nil {
		return s, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: fmt.Sprintf("cannot open %q", dir), Detail: err.Error(), Extra: diag.Info{Code: diag.CodeFileRead}}}
	}
	s.Dir = &Dir{path: dir, tree: tree, root: root, allowOutside: allowOutside, digests: map[string]string{}}
	s.Names = names
	s.functions = policyFunctions(s.Dir)

	var diags, misplaced hcl.Diagnostics
	var found hcl.Blocks
	for _, n := range names {
		display := filepath.Join(dir, n)
		file, more := s.parse(tree, display, "policy")
		diags = append(diags, diag.WithCode(diag.CodeSyntax, more)...)
		if more.HasErrors() {
			continue
		}
		content, more := file.Body.Content(policySchema.bodySchema(hasLabeledHost(file.Body)))
		misplaced = append(misplaced, explainSchema(more, policySchema)...)
		found = append(found, content.Blocks...)
	}
	diags = append(diags, s.readInputs(inputs)...)
	s.sources = s.Sources()
	if diags.HasErrors() {
		return s, append(diags, misplaced...)
	}
	// An unknown block at the top hides no other errors.
	return s, slices.Concat(diags, misplaced, s.structure(found))
}

// parse reads a file as HCL, or as JSON if its name ends in .json. The purpose of the file,
// what, is for messages.
func (s *Source) parse(tree files.Tree, name, what string) (*hcl.File, hcl.Diagnostics) {
	text, err := readText(tree, name)
	if err != nil {
		return nil, cannotRead(what, name, err)
	}
	if diags := notText(text, name); diags != nil {
		return nil, diags
	}
	isJSON := strings.HasSuffix(name, ".json")
	if plain, found := bytes.CutPrefix(text, []byte("\ufeff")); found && isJSON {
		s.marked[name] = text
		text = plain
	}
	tooMuch := budget.Text(len(text), name)
	var cuts []hcl.Pos
	if tooMuch == nil {
		if isJSON {
			tooMuch = budget.JSON(text, name)
		} else {
			cuts, tooMuch = budget.Config(text, name, pieceSize)
		}
	}
	if tooMuch != nil {
		// Kept as a source, so that the error can show its line.
		s.parser.AddFile(name, &hcl.File{Bytes: text, Body: hcl.EmptyBody()})
		return nil, hcl.Diagnostics{tooMuch}
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if isJSON {
		file, diags = s.parser.ParseJSON(text, name)
	} else {
		file, diags = parseHCL(text, name, cuts)
		s.parser.AddFile(name, file)
		diags = explainSyntax(text, name, diags)
	}
	return file, append(diags, hiddenCharacters(text, name, diags)...)
}

// readText reads a file up to one byte more than budget.Text accepts.
func readText(tree files.Tree, name string) ([]byte, error) {
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, budget.MaxText+1))
}

func cannotRead(what, name string, err error) hcl.Diagnostics {
	return hcl.Diagnostics{{
		Severity: hcl.DiagError,
		Summary:  fmt.Sprintf("cannot read %s %q", what, name),
		Detail:   files.Reason(err),
		Extra:    diag.Info{Code: diag.CodeFileRead},
	}}
}

// policyFiles finds the directory of a policy and its files.
func policyFiles(tree files.Tree, name string) (dir string, names []string, err error) {
	info, err := tree.Stat(name)
	if err != nil {
		return "", nil, err
	}
	if !info.IsDir() {
		if !IsPolicyFile(name) {
			return "", nil, fmt.Errorf("the name of a policy file must end in .hcl or .hcl.json")
		}
		if err := files.Check(name, info); err != nil {
			return "", nil, err
		}
		return filepath.Dir(name), []string{filepath.Base(name)}, nil
	}
	entries, err := tree.ReadDir(name)
	if err != nil {
		return "", nil, err
	}
	for _, e := range entries {
		if !IsPolicyFile(e.Name()) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// Other errors are reported when the file is read.
		info, err := tree.Stat(filepath.Join(name, e.Name()))
		switch {
		case err == nil && info.IsDir():
		case err == nil && !info.Mode().IsRegular():
			return "", nil, fmt.Errorf("%s: %s", e.Name(), files.Reason(files.Check(e.Name(), info)))
		default:
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return "", nil, fmt.Errorf("the directory contains no *.hcl or *.hcl.json file")
	}
	slices.Sort(names)
	return name, names, nil
}

// IsPolicyFile reports whether a file may be a policy, by its name. In a directory, those whose
// names begin with a dot are no part of the policy.
func IsPolicyFile(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}
