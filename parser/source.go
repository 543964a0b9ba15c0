package parser

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"

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
	// blocks by type; those inside egress are "egress/TYPE".
	blocks map[string][]*hcl.Block
	// hosts by label, "" for the unlabelled one.
	hosts map[string]*hcl.Block
	// functions, source bytes and values from outside are the same for every host.
	functions functions
	sources   map[string][]byte
	given     map[string]given
	// texts are values that are in no file, by the file names of their ranges.
	texts map[string][]byte
	// marked are files with a byte order mark, which their source is without.
	marked map[string][]byte
}

// Dir is the directory of a policy. Paths in policies are relative to it and,
// unless Outside is allowed, cannot leave it, by symbolic links neither.
type Dir struct {
	path         string
	tree         files.Tree
	root         files.Root
	allowOutside bool

	mu      sync.Mutex
	digests map[string]string
}

// Open opens a file named in a policy. What is read of it until it is closed goes
// into its digest.
func (d *Dir) Open(name string) (fs.File, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	return &digestedFile{File: f, dir: d, name: filepath.ToSlash(filepath.Clean(name)), sum: sha256.New()}, nil
}

func (d *Dir) open(name string) (fs.File, error) {
	if d.allowOutside {
		if !filepath.IsAbs(name) {
			name = filepath.Join(d.path, name)
		}
		return d.tree.Open(name)
	}
	if filepath.IsAbs(name) || !filepath.IsLocal(name) {
		return nil, errOutside
	}
	return d.root.Open(name)
}

var errOutside = errors.New("the path leaves the policy's directory; --allow-outside permits that")

type digestedFile struct {
	fs.File
	dir  *Dir
	name string
	sum  hash.Hash
}

func (f *digestedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.sum.Write(p[:n])
	return n, err
}

func (f *digestedFile) Close() error {
	f.dir.mu.Lock()
	f.dir.digests[f.name] = hex.EncodeToString(f.sum.Sum(nil))
	f.dir.mu.Unlock()
	return f.File.Close()
}

// Digests returns the SHA-256 in hexadecimal of the policy's files and of each
// file opened and closed so far, by the names the policy uses.
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

// Display is the name of a file of the policy as diagnostics show it: as reached
// from where the command runs.
func (d *Dir) Display(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.path, name)
}

// Close releases the directory.
func (s *Source) Close() error { return s.Dir.root.Close() }

// Sources returns the bytes of all files read so far by the names diagnostics
// use, for diag.Printer.
func (s *Source) Sources() map[string][]byte {
	out := s.parser.Sources()
	maps.Copy(out, s.texts)
	return out
}

// Load reads the policy at name, a file or a directory, and the files of values in
// inputs, and checks their syntax. With allowOutside, expressions and address lists
// may name files anywhere.
//
// The Source is there, for its Sources, even when there are errors.
func Load(name string, inputs Inputs, allowOutside bool) (*Source, hcl.Diagnostics) {
	return LoadFrom(files.Disk, name, inputs, allowOutside)
}

// LoadFrom is Load for a policy in a tree. The files of values are on the disk all
// the same: they are of the command line, not of the policy.
func LoadFrom(tree files.Tree, name string, inputs Inputs, allowOutside bool) (*Source, hcl.Diagnostics) {
	s := &Source{parser: hclparse.NewParser(), blocks: map[string][]*hcl.Block{}, marked: map[string][]byte{}}
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
	for _, n := range names {
		display := filepath.Join(dir, n)
		file, more := s.parse(tree, display, "policy")
		diags = append(diags, diag.WithCode(diag.CodeSyntax, more)...)
		if more.HasErrors() {
			continue
		}
		schema := schemaFor(file.Body)
		content, more := file.Body.Content(schema)
		misplaced = append(misplaced, schemaDiagnostics(more, schema)...)
		for _, b := range content.Blocks {
			s.blocks[b.Type] = append(s.blocks[b.Type], b)
		}
	}
	diags = append(diags, s.readInputs(inputs)...)
	s.sources = s.Sources()
	if diags.HasErrors() {
		return s, append(diags, misplaced...)
	}
	// What is unknown at the top hides nothing that is wrong elsewhere.
	return s, slices.Concat(diags, misplaced, s.checkStructure())
}

// parse reads a file as HCL, or as JSON if its name says so. What it is tells
// what the file is for.
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
	if tooMuch == nil {
		if isJSON {
			tooMuch = budget.JSON(text, name)
		} else {
			tooMuch = budget.Config(text, name)
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
		file, diags = s.parser.ParseHCL(text, name)
		diags = explainSyntax(text, name, diags)
	}
	if file != nil {
		if body, ok := file.Body.(*hclsyntax.Body); ok {
			budget.Instrument(body)
		}
	}
	return file, append(diags, hiddenCharacters(text, name, diags)...)
}

// readText reads a file as far as one byte past what budget.Text takes.
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
		if !isPolicyFile(name) {
			return "", nil, fmt.Errorf("a policy file's name ends in .hcl or .hcl.json")
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
		if !isPolicyFile(e.Name()) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// What cannot be asked is reported when it is read.
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
		return "", nil, fmt.Errorf("the directory holds no *.hcl or *.hcl.json file")
	}
	slices.Sort(names)
	return name, names, nil
}

func isPolicyFile(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}

// Hosts returns the labels of the host blocks in the order written, as far as they
// are good; one "" for an unlabelled host.
func (s *Source) Hosts() []string {
	var out []string
	for _, b := range s.blocks["host"] {
		if label := hostLabel(b); s.hosts[label] == b {
			out = append(out, label)
		}
	}
	return out
}

func hostLabel(b *hcl.Block) string {
	if len(b.Labels) == 0 {
		return ""
	}
	return b.Labels[0]
}

// schemaFor is what may stand at the top of a policy file: with labels on host
// blocks where the file has such, without where it has not.
func schemaFor(body hcl.Body) *hcl.BodySchema {
	host := hcl.BlockHeaderSchema{Type: "host"}
	if hasLabelledHost(body) {
		host.LabelNames = []string{"name"}
	}
	return &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "established"},
		{Type: "default"},
		{Type: "locals"},
		{Type: "egress"},
		host,
		{Type: "ipset", LabelNames: []string{"name"}},
		{Type: "deny", LabelNames: []string{"name"}},
		{Type: "accept", LabelNames: []string{"name"}},
		{Type: "variable", LabelNames: []string{"name"}},
		{Type: "test", LabelNames: []string{"name"}},
	}}
}

func hasLabelledHost(body hcl.Body) bool {
	if native, ok := body.(*hclsyntax.Body); ok {
		return slices.ContainsFunc(native.Blocks, func(b *hclsyntax.Block) bool {
			return b.Type == "host" && len(b.Labels) > 0
		})
	}
	// In JSON a label looks like an attribute: a host without any attribute of a
	// host block has labels.
	content, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "host"}}})
	for _, b := range content.Blocks {
		attrs, _ := b.Body.JustAttributes()
		known := slices.ContainsFunc(hostSchema.Attributes, func(a hcl.AttributeSchema) bool { return attrs[a.Name] != nil })
		if len(attrs) > 0 && !known {
			return true
		}
	}
	return false
}

// checkStructure checks what holds for all hosts alike: how often a block may
// stand, and that labels are names.
func (s *Source) checkStructure() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, b := range s.blocks["egress"] {
		content, more := b.Body.Content(egressSchema)
		diags = append(diags, schemaDiagnostics(more, egressSchema)...)
		for _, inner := range content.Blocks {
			s.blocks["egress/"+inner.Type] = append(s.blocks["egress/"+inner.Type], inner)
		}
	}
	for _, kind := range []string{"established", "default", "egress", "egress/default"} {
		if blocks := s.blocks[kind]; len(blocks) > 1 {
			for _, b := range blocks[1:] {
				diags = append(diags, diag.WithRelated(
					diag.New(diag.CodeDuplicate, b.DefRange, fmt.Sprintf("second %s block", b.Type),
						fmt.Sprintf("A policy has one %s block. Join the two.", b.Type)),
					"the first one", blocks[0].DefRange))
			}
		}
	}
	diags = append(diags, s.checkHosts()...)
	diags = append(diags, s.uniqueLabels(s.blocks["ipset"], "ipset", checkSetName)...)
	diags = append(diags, s.uniqueLabels(s.blocks["variable"], "variable", checkVariableName)...)
	diags = append(diags, s.uniqueLabels(s.blocks["test"], "test", checkTestName)...)
	rules := slices.Concat(s.ruleBlocks(""), s.ruleBlocks("egress/"))
	return append(diags, s.uniqueLabels(rules, "rule", checkRuleName)...)
}

// Evaluable reports whether hosts can be evaluated, to find more that is wrong,
// although Load found errors.
func (s *Source) Evaluable() bool { return len(s.hosts) > 0 }

// checkHosts finds the hosts: one without a label, or any number with one each.
func (s *Source) checkHosts() hcl.Diagnostics {
	var diags hcl.Diagnostics
	s.hosts = map[string]*hcl.Block{}
	folded := map[string]*hcl.Block{}
	blocks := s.blocks["host"]
	if len(blocks) == 0 {
		return hcl.Diagnostics{diag.New(diag.CodeSchema, hcl.Range{Filename: s.Dir.Display(s.Names[0]), Start: hcl.InitialPos, End: hcl.InitialPos},
			"no host block",
			"A policy says on which interfaces the outside arrives. Add:\n\n  host {\n    external_interfaces = [\"eth0\"]\n  }")}
	}
	for _, b := range blocks {
		label, rng := hostLabel(b), b.DefRange
		if len(b.Labels) > 0 {
			rng = b.LabelRanges[0]
			if problem := checkHostName(label); problem != "" {
				diags = append(diags, diag.New(diag.CodeName, rng, fmt.Sprintf("bad name %q", label), problem))
				continue
			}
		}
		other, dup := s.hosts[label]
		switch {
		case dup && label == "":
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, "second host block", "Give each host a label, host \"web1\" { … } and host \"web2\" { … }, or join the two."),
				"the first one", other.DefRange))
		case dup:
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("second host %q", label), "Each host has a label of its own. Rename one of the two."),
				"the first one", other.LabelRanges[0]))
		case folded[strings.ToLower(label)] != nil:
			other = folded[strings.ToLower(label)]
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("host %q differs from %q only in case", label, hostLabel(other)),
					"The label is the name of the host's output folder, and file systems such as those of macOS and Windows take the two for one. Rename one of the two."),
				"the other one", other.LabelRanges[0]))
		default:
			s.hosts[label] = b
			folded[strings.ToLower(label)] = b
		}
	}
	if unlabelled := s.hosts[""]; unlabelled != nil && len(s.hosts) > 1 {
		diags = append(diags, diag.New(diag.CodeDuplicate, unlabelled.DefRange, "host without a label among labelled ones", "The label names the host's output folder. Give this one a label too."))
	}
	return diags
}

// uniqueLabels checks the names of blocks. Of blocks with the same name the first
// stays, so that the others are not evaluated as well.
func (s *Source) uniqueLabels(blocks []*hcl.Block, what string, check func(string) string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]*hcl.Block{}
	for _, b := range slices.Clone(blocks) { // which may be one of the lists that shrink below
		name, rng := b.Labels[0], b.LabelRanges[0]
		if problem := check(name); problem != "" {
			diags = append(diags, diag.New(diag.CodeName, rng, fmt.Sprintf("bad name %q", name), problem))
			continue
		}
		if other, dup := first[name]; dup {
			detail := fmt.Sprintf("Each %s has a name of its own. Rename one of the two.", what)
			diags = append(diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, rng, fmt.Sprintf("second %s %q", what, name), detail),
				"the first one", other.LabelRanges[0]))
			for kind, list := range s.blocks {
				s.blocks[kind] = slices.DeleteFunc(list, func(o *hcl.Block) bool { return o == b })
			}
			continue
		}
		first[name] = b
	}
	return diags
}

func compareRanges(a, b hcl.Range) int {
	if c := strings.Compare(a.Filename, b.Filename); c != 0 {
		return c
	}
	return a.Start.Byte - b.Start.Byte
}
