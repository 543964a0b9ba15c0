package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/hashicorp/hcl/v2"
	"go.yaml.in/yaml/v4"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/files"
)

// index is where the services of a project and their ports are written. The library that merges
// the files keeps no places: a port is found again by its values.
type index struct {
	sources map[string][]byte
	main    string // the first file
	roots   []root
	// seen are the files that were read, by their absolute paths.
	seen     map[string]bool
	services map[string]hcl.Range
	ports    map[portKey]hcl.Range
	// count is the number of ports of all services.
	count int
}

// root is a document of a file.
type root struct {
	file string
	node *yaml.Node
}

// portKey identifies a port; Service is "" for any service, such as one that another extends.
type portKey struct{ service, port string }

// maxDepth limits how deep aliases, and files that include others, are followed.
const maxDepth = 16

func newIndex() *index {
	return &index{
		sources: map[string][]byte{}, seen: map[string]bool{},
		services: map[string]hcl.Range{}, ports: map[portKey]hcl.Range{},
	}
}

// add reads a file and those that it includes or extends. Later files win. The errors are those of
// the file itself, and of variables in ports.
func (x *index) add(path string, variables types.Mapping) ([]byte, hcl.Diagnostics) {
	return x.file(path, variables, 0)
}

func (x *index) file(path string, variables types.Mapping, depth int) ([]byte, hcl.Diagnostics) {
	if x.seen[absolute(path)] || depth > maxDepth {
		return x.sources[path], nil
	}
	x.seen[absolute(path)] = true
	if x.main == "" {
		x.main = path
	}
	start := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	text, err := files.Read(files.Disk, path)
	switch {
	case err != nil:
		return nil, hcl.Diagnostics{problem(start, "Compose file that cannot be read", files.Reason(err)+".")}
	case len(text) > maxFile:
		return nil, hcl.Diagnostics{problem(start, "Compose file too large", fmt.Sprintf("It has %d bytes; at most %d MB are read.", len(text), maxFile>>20))}
	}
	x.sources[path] = text
	var diags hcl.Diagnostics
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		node := &yaml.Node{}
		err := decoder.Decode(node)
		if errors.Is(err, io.EOF) {
			return text, diags
		}
		if err != nil {
			at, message := syntaxError(path, text, err)
			return text, append(diags, problem(at, "no YAML", message))
		}
		if bytes.IndexByte(text, '*') >= 0 {
			// A few lines with aliases can be billions of services or ports. The YAML library refuses
			// that only where it makes values of nodes.
			var values any
			if err := node.Decode(&values); err != nil && strings.Contains(err.Error(), "excessive aliasing") {
				return text, append(diags, problem(start, "too many aliases", "The aliases of the file repeat so much of it that reading it could take hours. Write fewer of them."))
			}
		}
		x.roots = append(x.roots, root{path, node})
		diags = append(diags, x.document(path, node, variables, depth)...)
	}
}

// document adds the services of a document.
func (x *index) document(path string, node *yaml.Node, variables types.Mapping, depth int) hcl.Diagnostics {
	var diags hcl.Diagnostics
	top := resolve(node)
	for _, i := range elements(field(top, "include")) {
		diags = append(diags, x.include(path, i, variables, depth)...)
	}
	for name, s := range fields(field(top, "services")) {
		x.services[name.Value] = x.rangeOf(path, name)
		if file := resolve(field(field(s, "extends"), "file")); file != nil {
			diags = append(diags, x.other(path, file, beside(path, file.Value), variables, depth)...)
		}
		if mode := resolve(field(s, "network_mode")); mode != nil {
			diags = append(diags, x.unset(path, mode, variables)...)
		}
		for _, item := range elements(field(s, "ports")) {
			diags = append(diags, x.port1(path, name.Value, item, variables)...)
			if x.count > published.MaxPorts {
				return append(diags, problem(x.rangeOf(path, item), "too many ports", fmt.Sprintf("At most %d published ports of a project are read.", published.MaxPorts)))
			}
		}
	}
	return diags
}

// other reads a file that a node of another one names.
func (x *index) other(path string, at *yaml.Node, file string, variables types.Mapping, depth int) hcl.Diagnostics {
	if (noNetwork{}).Accept(at.Value) {
		return hcl.Diagnostics{problem(x.rangeOf(path, at), "file from the network", at.Value+" is not on this machine, and nothing is read from the network. Save it beside the other files.")}
	}
	if _, err := files.Disk.Stat(file); err != nil {
		return hcl.Diagnostics{problem(x.rangeOf(path, at), "Compose file that cannot be read", at.Value+": "+files.Reason(err)+".")}
	}
	_, diags := x.file(file, variables, depth+1)
	return diags
}

// beside is the path of a file that another one refers to.
func beside(path, written string) string {
	if filepath.IsAbs(written) {
		return written
	}
	return filepath.Join(filepath.Dir(path), written)
}

// include reads the files of an element of include, with variables of their own.
func (x *index) include(path string, item *yaml.Node, variables types.Mapping, depth int) hcl.Diagnostics {
	item = resolve(item)
	paths := []*yaml.Node{item}
	if item.Kind == yaml.MappingNode {
		paths = elements(field(item, "path"))
	}
	var diags hcl.Diagnostics
	for _, p := range paths {
		p = resolve(p)
		file := beside(path, p.Value)
		dir := filepath.Dir(file)
		more, _ := readVariables(dir, nil)
		for _, f := range elements(field(item, "env_file")) {
			these, _ := readVariables(dir, []string{beside(path, resolve(f).Value)})
			more = maps.Clone(more)
			maps.Copy(more, these)
		}
		both := maps.Clone(more)
		maps.Copy(both, variables)
		diags = append(diags, x.other(path, p, file, both, depth)...)
	}
	return diags
}

// port1 adds one element of ports, which may be several ports.
func (x *index) port1(path, service string, item *yaml.Node, variables types.Mapping) hcl.Diagnostics {
	at := x.rangeOf(path, item)
	item = resolve(item)
	var diags hcl.Diagnostics
	var configs []types.ServicePortConfig
	var err error
	value := func(n *yaml.Node) string {
		if n = resolve(n); n == nil {
			return ""
		}
		diags = append(diags, x.unset(path, n, variables)...)
		text, _ := substitute(n.Value, variables.Resolve)
		return text
	}
	switch item.Kind {
	case yaml.ScalarNode:
		configs, err = types.ParsePortConfig(value(item))
	case yaml.MappingNode:
		target, _ := strconv.ParseUint(value(field(item, "target")), 10, 32)
		c := types.ServicePortConfig{HostIP: value(field(item, "host_ip")), Published: value(field(item, "published")), Target: uint32(target), Protocol: value(field(item, "protocol"))}
		if c.Protocol == "" {
			c.Protocol = "tcp"
		}
		configs = []types.ServicePortConfig{c}
		_, err = portOf(c)
	}
	if err != nil && len(diags) == 0 {
		diags = append(diags, notPublishable(at, service, err))
	}
	x.count += len(configs)
	for _, c := range configs {
		x.ports[portKey{service, keyOf(c)}] = at
		x.ports[portKey{"", keyOf(c)}] = at
	}
	return diags
}

// notPublishable is the error about a port that the engine would refuse.
func notPublishable(at hcl.Range, service string, err error) *hcl.Diagnostic {
	return problem(at, "no port that the engine can publish", fmt.Sprintf("Service %s: %v.", service, err))
}

// keyOf is a port by its values.
func keyOf(c types.ServicePortConfig) string {
	return fmt.Sprintf("%s|%s|%d|%s", c.HostIP, c.Published, c.Target, c.Protocol)
}

// unset reports variables without a value in a text. docker compose takes them as empty, and the
// engine then chooses a port.
func (x *index) unset(path string, n *yaml.Node, variables types.Mapping) hcl.Diagnostics {
	var diags hcl.Diagnostics
	found := template.ExtractVariables(map[string]any{"": n.Value}, nil)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		if _, ok := variables[name]; ok || v.DefaultValue != "" || v.PresenceValue != "" {
			continue
		}
		diags = append(diags, problem(x.rangeOf(path, n), "variable "+name+" without a value",
			fmt.Sprintf("Write it into the file .env beside the first Compose file, or into a file for --env-file; or give it a default: ${%s:-8080}. Variables of the shell are not read.", name)))
	}
	return diags
}

// service is where a service is written.
func (x *index) service(name string) hcl.Range {
	if at, ok := x.services[name]; ok {
		return at
	}
	return x.first()
}

// first is the beginning of the first file.
func (x *index) first() hcl.Range {
	return hcl.Range{Filename: x.main, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// port is where a port of a service is written: that of a service that it extends if need be, and
// otherwise the service.
func (x *index) port(service, key string) hcl.Range {
	for _, k := range []portKey{{service, key}, {"", key}} {
		if at, ok := x.ports[k]; ok {
			return at
		}
	}
	return x.service(service)
}

// problem makes a diagnostic of an error of the library: at the node whose path the text has, such
// as services.web.ports.0.
func (x *index) problem(err error) *hcl.Diagnostic {
	text := err.Error()
	for _, r := range x.roots {
		text = strings.ReplaceAll(text, absolute(r.file), r.file)
	}
	at, found := hcl.Range{}, 0
	paths := nodePath.FindAllString(text, -1)
	if m := serviceName.FindStringSubmatch(text); m != nil {
		paths = append(paths, "services."+m[1])
	}
	for _, m := range paths {
		for _, r := range x.roots {
			if node, depth := lookup(resolve(r.node), strings.FieldsFunc(m, func(c rune) bool { return strings.ContainsRune(".[]", c) })); depth > found {
				at, found = x.rangeOf(r.file, node), depth
			}
		}
	}
	if found == 0 {
		at = x.first()
	}
	return problem(at, "Compose project that cannot be read", strings.TrimSuffix(text, ".")+".")
}

// nodePath and serviceName are what errors of the library name.
var (
	nodePath    = regexp.MustCompile(`(?:services|networks|include|volumes)(?:[.\[][\w-]*\]?)+`)
	serviceName = regexp.MustCompile(`service "([\w.-]+)"`)
)

// lookup follows the names and indexes of a path as far as they exist, and returns the key or the
// element there and how far it got.
func lookup(n *yaml.Node, path []string) (at *yaml.Node, depth int) {
	for _, name := range path {
		var key, value *yaml.Node
		if i, err := strconv.Atoi(name); err == nil && n != nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			key, value = n.Content[i], n.Content[i]
		} else {
			for k, v := range fields(n) {
				if k.Value == name {
					key, value = k, v
				}
			}
		}
		if key == nil {
			break
		}
		at, n, depth = key, resolve(value), depth+1
	}
	return at, depth
}

// resolve is a node itself, not its document or an alias for it; nil for nil.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		switch {
		case n == nil:
			return nil
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
			n = n.Content[0]
		default:
			return n
		}
	}
	return nil
}

// fields are the keys and values of a mapping, with those that << merges into it.
func fields(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		var visit func(n *yaml.Node, depth int) bool
		visit = func(n *yaml.Node, depth int) bool {
			n = resolve(n)
			if n == nil || n.Kind != yaml.MappingNode || depth > maxDepth {
				return true
			}
			var merged []*yaml.Node
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == "<<" {
					merged = append(merged, elements(n.Content[i+1])...)
				} else if !yield(n.Content[i], n.Content[i+1]) {
					return false
				}
			}
			// A mapping's own keys come first: they replace those that are merged into it.
			return !slices.ContainsFunc(merged, func(m *yaml.Node) bool { return !visit(m, depth+1) })
		}
		visit(n, 0)
	}
}

// field is the value of a key; nil if there is none.
func field(n *yaml.Node, name string) *yaml.Node {
	for k, v := range fields(n) {
		if k.Value == name {
			return v
		}
	}
	return nil
}

// elements are those of a list; a single value is a list of one.
func elements(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return slices.DeleteFunc(slices.Clone(n.Content), func(e *yaml.Node) bool { return resolve(e) == nil })
	}
	return []*yaml.Node{n}
}

// rangeOf is the first line of a node.
func (x *index) rangeOf(path string, n *yaml.Node) hcl.Range {
	src := x.sources[path]
	start := 0
	for line := 1; line < n.Line; line++ {
		next := bytes.IndexByte(src[start:], '\n')
		if next < 0 {
			break
		}
		start += next + 1
	}
	line, _, _ := bytes.Cut(src[start:], []byte("\n"))
	text := []rune(strings.TrimRight(string(line), "\r"))
	from := min(max(n.Column-1, 0), len(text))
	to := len(text)
	if length := len([]rune(n.Value)); n.Kind == yaml.ScalarNode && n.Value != "" {
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			length += 2
		}
		to = min(from+length, len(text))
	}
	before, whole := string(text[:from]), string(text[:to])
	return hcl.Range{
		Filename: path,
		Start:    hcl.Pos{Line: n.Line, Column: 1 + diag.Columns(before), Byte: start + len(before)},
		End:      hcl.Pos{Line: n.Line, Column: 1 + diag.Columns(whole), Byte: start + len(whole)},
	}
}

// marks are the positions in the errors of the YAML library. Its parser counts lines from 0, and
// leaves out the first one; its scanner counts from 1.
var marks = regexp.MustCompile(`(?: at )?(?:line (\d+)(?:, column (\d+))?|<unknown position>): ?`)

// syntaxError is the position of an error in text that is no YAML, and its message without
// positions.
func syntaxError(path string, text []byte, err error) (hcl.Range, string) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line, column := 1, 1
	if all := marks.FindAllStringSubmatch(message, -1); len(all) > 0 {
		last := all[len(all)-1]
		if n, err := strconv.Atoi(last[1]); err == nil {
			line = n
		}
		if strings.HasPrefix(message, "while parsing") && last[1] != "" {
			line++
		}
		if n, err := strconv.Atoi(last[2]); err == nil {
			column = n
		}
	}
	message = strings.TrimSuffix(marks.ReplaceAllString(message, "\x00"), ".")
	parts := strings.FieldsFunc(message, func(r rune) bool { return r == 0 })
	x := &index{sources: map[string][]byte{path: text}}
	return x.rangeOf(path, &yaml.Node{Line: line, Column: column}), strings.Join(parts, ": ") + "."
}

// lineOf is the position in an error of a library that has a line; the first otherwise.
func lineOf(err error) hcl.Pos {
	at := hcl.InitialPos
	var notExist *fs.PathError
	if errors.As(err, &notExist) {
		return at
	}
	if m := errorLine.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			at.Line = n
		}
	}
	return at
}

var errorLine = regexp.MustCompile(`line (\d+)`)

func problem(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return diag.New(diag.CodeCompose, at, summary, detail)
}
