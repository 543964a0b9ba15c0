//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// compiled is a compiled folder of one host.
type compiled struct {
	dir      string
	manifest folder.Manifest
}

func (c compiled) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// families returns the families that the folder has rules for.
func (c compiled) families() []int {
	var out []int
	for _, chain := range c.manifest.Chains {
		f := map[string]int{"ipv4": 4, "ipv6": 6}[chain.Family]
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

func (c compiled) install() string { return c.manifest.Chains[0].Install }

func rulesFile(family int, kind string) string {
	return map[int]string{4: "iptables", 6: "ip6tables"}[family] + "." + kind
}

// compiledFolders returns the folders of all hosts of all compiled examples.
func compiledFolders(t *testing.T) []compiled {
	t.Helper()
	var out []compiled
	err := filepath.WalkDir("../examples", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != folder.ManifestFile {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c := compiled{dir: filepath.Dir(path)}
		if err := json.Unmarshal(text, &c.manifest); err != nil {
			return err
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no goldens")
	}
	return out
}

// before are foreign rules that exist before ours are loaded: Docker's chains, another chain
// with a set, and a rule in the security table.
const before = `*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:FOREIGN - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -j FOREIGN
-A DOCKER -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A FOREIGN -m set --match-set SET src -j DROP
COMMIT
*security
-A FORWARD -p udp -m udp --dport 9 -j DROP
COMMIT
`

// tablesLoaded are the tables of which compiled files change chains.
var tablesLoaded = []string{"filter", "security"}

// blocks returns the blocks of a restore file, by table.
func blocks(restore string) map[string]string {
	out, table := map[string]string{}, ""
	for line := range strings.Lines(restore) {
		if strings.HasPrefix(line, "*") {
			table = strings.TrimSpace(line[1:])
		}
		out[table] += line
	}
	return out
}

func TestCompiledExamplesLoadIntoTheKernelUnchanged(t *testing.T) {
	t.Parallel()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset")
	for _, c := range compiledFolders(t) {
		for _, backend := range lab.Backends {
			t.Run(c.dir+"/"+string(backend), func(t *testing.T) {
				t.Parallel()
				loadAndRemove(t, c, backend)
			})
		}
	}
}

func loadAndRemove(t *testing.T, c compiled, backend lab.Backend) {
	host := lab.NewNamespace(t, "dfw-golden")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rules := func() map[int]map[string]string {
		out := map[int]map[string]string{}
		for _, f := range []int{4, 6} {
			out[f] = map[string]string{}
			for _, table := range tablesLoaded {
				out[f][table] = withoutNoise(host.IPTablesSave(backend, f, table))
			}
		}
		return out
	}

	ok(host.IPSetRestore("create foreign hash:net family inet\ncreate foreign6 hash:net family inet6\nadd foreign 203.0.113.0/24\n"))
	for _, f := range []int{4, 6} {
		set := map[int]string{4: "foreign", 6: "foreign6"}[f]
		ok(host.IPTablesRestore(backend, f, strings.ReplaceAll(before, "SET", set)))
		if c.install() == "jump" {
			// A foreign rule in the chain that contains our jump.
			ok(host.IPTables(backend, f, "-A", "DOCKER-USER", "-s", map[int]string{4: "192.0.2.66/32", 6: "2001:db8::66/128"}[f], "-j", "DROP"))
		}
	}
	clean, cleanSets := rules(), readSets(t, host.IPSetSave())

	load := func() {
		t.Helper()
		ok(host.IPSetRestore(c.read(t, folder.SetsFile)))
		for _, f := range c.families() {
			ok(host.IPTablesRestore(backend, f, c.read(t, rulesFile(f, "restore"))))
		}
	}
	load()
	if c.install() == "jump" {
		for _, f := range c.families() {
			ok(host.IPTables(backend, f, "-I", "DOCKER-USER", "-j", "DOCKERFW"))
		}
	}
	for _, f := range c.families() {
		if strings.Contains(c.read(t, rulesFile(f, "restore")), "\n:"+ir.InputChain+" ") {
			ok(host.IPTables(backend, f, "-I", "INPUT", "1", "-j", ir.InputChain))
		}
		fallback := blocks(c.read(t, rulesFile(f, "restore")))["security"]
		for _, jump := range [][2]string{{"FORWARD", ir.OwnChain}, {"INPUT", ir.InputChain}} {
			if strings.Contains(fallback, "\n:"+jump[1]+" ") {
				ok(host.IPTables(backend, f, "-t", "security", "-I", jump[0], "1", "-j", jump[1]))
			}
		}
	}
	loaded := rules()
	for _, f := range c.families() {
		for table, block := range blocks(c.read(t, rulesFile(f, "restore"))) {
			want := expectedRules(block, clean[f][table])
			got := linesOfChains(loaded[f][table], want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("iptables-save -t %s of family %d differs from the compiled file (-compiled +saved):\n%s", table, f, diff)
			}
		}
	}
	emitted := &iptables.Sets{}
	file, diags := iptables.ParseSets(strings.NewReader(c.read(t, folder.SetsFile)), folder.SetsFile)
	if diags = append(diags, emitted.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
	want := describeSets(emitted)
	for name, set := range cleanSets {
		want[name] = set
	}
	sets := readSets(t, host.IPSetSave())
	if diff := cmp.Diff(want, sets); diff != "" {
		t.Errorf("ipset save differs from the compiled file (-compiled +saved):\n%s", diff)
	}

	if c.install() != "insert" {
		load()
		if diff := cmp.Diff(loaded, rules()); diff != "" {
			t.Errorf("loading twice changes rules:\n%s", diff)
		}
		if diff := cmp.Diff(sets, readSets(t, host.IPSetSave())); diff != "" {
			t.Errorf("loading twice changes sets:\n%s", diff)
		}
	}

	for _, f := range c.families() {
		ok(host.IPTablesRestore(backend, f, c.read(t, rulesFile(f, "remove"))))
	}
	ok(host.IPSetRestore(c.read(t, folder.SetsRemoval)))
	if diff := cmp.Diff(clean, rules()); diff != "" {
		t.Errorf("after removal (-before +after):\n%s", diff)
	}
	for _, s := range c.manifest.Sets {
		if !s.Managed {
			// Unmanaged sets stay.
			cleanSets[s.Name] = want[s.Name]
		}
	}
	if diff := cmp.Diff(cleanSets, readSets(t, host.IPSetSave())); diff != "" {
		t.Errorf("sets after removal (-before +after):\n%s", diff)
	}
}

// withoutNoise removes comments and counters from the output of iptables-save.
func withoutNoise(save string) string {
	var out []string
	for line := range strings.Lines(save) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, ":") {
			line = line[:strings.LastIndex(line, " ")] + " [0:0]\n"
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// expectedRules returns the rules of each chain after a restore file is loaded, as iptables-save
// prints them.
func expectedRules(restore, clean string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.SplitSeq(restore, "\n") {
		switch {
		case strings.HasPrefix(line, ":"):
			out[strings.Fields(line)[0][1:]] = nil
		case strings.HasPrefix(line, "-A "):
			chain := strings.Fields(line)[1]
			out[chain] = append(out[chain], line)
		case strings.HasPrefix(line, "-I "):
			chain := strings.Fields(line)[1]
			if _, seen := out[chain]; !seen {
				out[chain] = linesOfChains(clean, map[string][]string{chain: nil})[chain]
			}
			out[chain] = append([]string{"-A " + strings.TrimPrefix(line, "-I ")}, out[chain]...)
		}
	}
	return out
}

// linesOfChains returns the rules of the given chains in the output of iptables-save.
func linesOfChains(save string, chains map[string][]string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.SplitSeq(save, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) > 0 && strings.HasPrefix(words[0], ":"):
			if _, ok := chains[words[0][1:]]; ok {
				out[words[0][1:]] = nil
			}
		case len(words) > 1 && words[0] == "-A":
			if _, ok := chains[words[1]]; ok {
				// iptables-save prints the name if /etc/protocols has it; compiled files have the number.
				out[words[1]] = append(out[words[1]], strings.Replace(line, " -p dccp ", " -p 33 ", 1))
			}
		}
	}
	return out
}

// readSets reads the output of ipset save, without parameters that the kernel chooses.
func readSets(t *testing.T, save string) map[string][]string {
	t.Helper()
	sets := &iptables.Sets{}
	file, diags := iptables.ParseSets(strings.NewReader(save), "ipset save")
	if diags = append(diags, sets.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
	return describeSets(sets)
}

// describeSets lists the header and the elements of each set, without hashsize, which the
// kernel increases with the elements.
func describeSets(sets *iptables.Sets) map[string][]string {
	out := map[string][]string{}
	for _, name := range sets.Names() {
		s := sets.Set(name)
		var elements []string
		for e := range s.Entries() {
			elements = append(elements, e.String())
		}
		slices.Sort(elements)
		header := s.Type + " " + s.Family
		for _, option := range []string{"maxelem", "timeout", "counters", "comment", "size"} {
			if v, ok := s.Option(option); ok {
				header += " " + option + " " + v
			}
		}
		out[name] = append([]string{header}, elements...)
	}
	return out
}

// A kernel without the security table loads the rules of the filter table before it refuses the
// fallback rules, with a clear message; -T filter leaves them out.
func TestAKernelWithoutTheSecurityTableHasTheRulesOfFilter(t *testing.T) {
	t.Parallel()
	lab.Require(t, "iptables-legacy", "ipset")
	c := compiled{dir: "../examples/tutorial"}
	host := lab.NewNamespace(t, "dfw-golden")
	if err := host.IPSetRestore(c.read(t, folder.SetsFile)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []int{4, 6} {
		// No kernel has a table of that name.
		restore := strings.Replace(c.read(t, rulesFile(f, "restore")), "*security", "*nosuch", 1)
		want := expectedRules(blocks(restore)["filter"], "")
		loaded := func() map[string][]string { return linesOfChains(host.IPTablesSave(lab.Legacy, f, "filter"), want) }
		tool := lab.Legacy.Tool(f, "-restore")

		_, _, err := host.Input(restore, tool, "--noflush", "-w", "10")
		if err == nil || !strings.Contains(err.Error(), "unable to initialize table 'nosuch'") || !strings.Contains(err.Error(), "exit status 2") {
			t.Errorf("%s: %v", tool, err)
		}
		if diff := cmp.Diff(want, loaded()); diff != "" {
			t.Errorf("%s: the filter table (-compiled +saved):\n%s", tool, diff)
		}
		if err := host.IPTablesRestore(lab.Legacy, f, "*filter\n:DOCKER-USER - [0:0]\n-F DOCKERFW-INPUT\nCOMMIT\n"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := host.Input(restore, tool, "--noflush", "-w", "10", "-T", "filter"); err != nil {
			t.Errorf("%s -T filter: %v", tool, err)
		}
		if diff := cmp.Diff(want, loaded()); diff != "" {
			t.Errorf("%s -T filter (-compiled +saved):\n%s", tool, diff)
		}
	}
}
