package handmade

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/files"
)

// tree is files by name.
type tree map[string]string

func (m tree) Open(name string) (fs.File, error) {
	text, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file{bytes.NewReader([]byte(text)), name, int64(len(text))}, nil
}
func (m tree) Stat(string) (fs.FileInfo, error)        { return nil, fs.ErrNotExist }
func (m tree) ReadDir(string) ([]fs.DirEntry, error)   { return nil, fs.ErrNotExist }
func (m tree) OpenRoot(dir string) (files.Root, error) { return nil, fs.ErrNotExist }
func (f file) Stat() (fs.FileInfo, error)              { return f, nil }
func (f file) Close() error                            { return nil }
func (f file) Name() string                            { return path.Base(f.name) }
func (f file) Size() int64                             { return f.size }
func (f file) Mode() fs.FileMode                       { return 0o400 }
func (f file) ModTime() time.Time                      { return time.Time{} }
func (f file) IsDir() bool                             { return false }
func (f file) Sys() any                                { return nil }

type file struct {
	io.Reader
	name string
	size int64
}

// describe is the rules of DOCKER-USER by family and the sets, and the diagnostics with their places.
func describe(t *testing.T, files tree, names ...string) string {
	t.Helper()
	source, diags, err := Read(files, names)
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if source.Rules[f] == nil {
			continue
		}
		if c := source.Rules[f].Table("filter").Chain("DOCKER-USER"); c != nil {
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "%s:%d %s\n", f, r.Range.Start.Line, source.Rules[f].Canonical(r))
			}
		}
	}
	for _, name := range source.Sets.Names() {
		fmt.Fprintf(&b, "set %s %d\n", name, source.Sets.Set(name).Len())
	}
	for _, d := range diags {
		fmt.Fprintf(&b, "%s:%d:%d %s\n", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Summary)
	}
	for _, n := range source.Notes {
		fmt.Fprintf(&b, "note %s\n", n)
	}
	return b.String()
}

func TestScripts(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{
			"inserted rules are in the order of the chain", "iptables -I DOCKER-USER -i eth0 -j DROP\niptables -I DOCKER-USER -s 192.0.2.1 -j RETURN\n",
			"ipv4:2 -s 192.0.2.1/32 -j RETURN\nipv4:1 -i eth0 -j DROP\n",
		},
		{
			"lines that go on, quotes and sudo", "sudo -n /usr/sbin/iptables -w 5 -A DOCKER-USER \\\n  -m comment --comment \"a b\" -m comment --comment 'c' -j DROP\n",
			"ipv4:1 -m comment --comment \"a b\" -m comment --comment c -j DROP\n",
		},
		{
			"IPv6 and sets", "ip6tables -A DOCKER-USER -j DROP\nipset create a hash:ip\nipset add a 192.0.2.1; ipset -exist add a 192.0.2.1\nipset -! create a hash:ip\n",
			"ipv6:1 -j DROP\nset a 1\n",
		},
		{
			"what is removed first is not there", "iptables -F MINE\niptables -D DOCKER-USER -j RETURN\niptables -N DOCKER-USER\niptables -N MINE\nipset destroy a\niptables -A DOCKER-USER -j MINE\n",
			"ipv4:6 -j MINE\nnote s.sh:1: skipped, because it fails where nothing but Docker's chains is there: No such chain\nnote s.sh:2: skipped, because it fails where nothing but Docker's chains is there: No such rule\nnote s.sh:3: skipped, because it fails where nothing but Docker's chains is there: Chain exists\nnote s.sh:5: skipped, because it fails on a host without sets: No such set\n",
		},
		{
			"a rule that is added if it is missing", "iptables -C DOCKER-USER -j DROP || iptables -A DOCKER-USER -j DROP\niptables -C DOCKER-USER -j DROP || iptables -I DOCKER-USER 1 -j DROP\n",
			"ipv4:1 -j DROP\n",
		},
		{"other commands", "#!/bin/sh\nset -e\necho done | true && :\n", "s.sh:3:1 pipe in a script\nnote s.sh: commands that change no rules were skipped: set\n"},
		{
			"failures that are ignored", "iptables -A NOWHERE -j DROP || true\niptables -A NOWHERE -j DROP 2>/dev/null\n",
			"note s.sh:1: skipped, because it fails where nothing but Docker's chains is there: No such chain\nnote s.sh:2: skipped, because it fails where nothing but Docker's chains is there: No such chain\n",
		},
		{
			"options and their values in one word", "iptables -w5 -IDOCKER-USER -jDROP\niptables --wait=5 --table=filter --insert=DOCKER-USER -ptcp --dport=80 -jRETURN\niptables -tfilter -A DOCKER-USER -W100000 -s192.0.2.1 -ieth0 -mmultiport -ptcp --dports=80,443 -jDROP\nip6tables --wait-interval=10 -w -A DOCKER-USER --protocol=udp --in-interface=eth0 --jump=DROP\n",
			"ipv4:2 -p tcp -m tcp --dport 80 -j RETURN\nipv4:1 -j DROP\nipv4:3 -s 192.0.2.1/32 -i eth0 -p tcp -m multiport --dports 80,443 -j DROP\nipv6:4 -i eth0 -p udp -j DROP\n",
		},
		{
			"removing with values in one word", "iptables -FMINE\niptables --delete=DOCKER-USER -jDROP\niptables -A DOCKER-USER -jDROP\niptables -SDOCKER-USER\n",
			"ipv4:3 -j DROP\nnote s.sh:1: skipped, because it fails where nothing but Docker's chains is there: No such chain\nnote s.sh:2: skipped, because it fails where nothing but Docker's chains is there: No such rule\n",
		},
		{
			"negation, names of tools and paths", "/sbin/iptables-legacy -A DOCKER-USER ! -s 192.0.2.1 -j DROP\nsudo -u root -E /usr/sbin/iptables-nft -w 5 -A DOCKER-USER -s ! 192.0.2.2 -j DROP\nsudo ip6tables-nft -A DOCKER-USER -p tcp '!' --dport=80 -j DROP\n",
			"ipv4:1 ! -s 192.0.2.1/32 -j DROP\nipv4:2 ! -s 192.0.2.2/32 -j DROP\nipv6:3 -p tcp -m tcp ! --dport 80 -j DROP\n",
		},
		{
			"comments that look like options", "iptables -A DOCKER-USER -m comment --comment -test -j DROP # -j ACCEPT\niptables -A DOCKER-USER -m comment --comment -w5 -j LOG --log-prefix -v\n",
			"ipv4:1 -m comment --comment -test -j DROP\nipv4:2 -m comment --comment -w5 -j LOG --log-prefix -v\n",
		},
		{"options that iptables does not have", "iptables -A DOCKER-USER -j DROP --weird\niptables -A DOCKER-USER -z5 -j DROP\niptables -vA DOCKER-USER -j DROP\n", "s.sh:1:1 Unknown option\ns.sh:2:1 Unknown option\ns.sh:3:1 Unknown option\n"},
		{"nothing runs after exit", "iptables -A DOCKER-USER -j DROP\nexit 0\niptables -F DOCKER-USER\n", "ipv4:1 -j DROP\n"},
		{"a block that ends the script", "iptables -N A || { echo no; exit 1; }\niptables -N A || { echo no; exit 1; }\niptables -A DOCKER-USER -j RETURN\n", "note s.sh: commands that change no rules were skipped: echo\nnote s.sh:2: skipped, because it fails where nothing but Docker's chains is there: Chain exists\n"},
		{
			"commands run if the one before succeeds or fails", "iptables -A DOCKER-USER -j DROP && iptables -C DOCKER-USER -j DROP && iptables -I DOCKER-USER -i a -j DROP\niptables -C DOCKER-USER -j RETURN && iptables -F DOCKER-USER\niptables -nL NONE 2>/dev/null && iptables -F DOCKER-USER\nipset list -n none || iptables -A DOCKER-USER -i b -j DROP\niptables -S DOCKER-USER || iptables -F DOCKER-USER\n",
			"ipv4:1 -i a -j DROP\nipv4:1 -j DROP\nipv4:4 -i b -j DROP\n",
		},
		{"a comment is no command", "iptables -A DOCKER-USER -m comment --comment -L -j DROP\n", "ipv4:1 -m comment --comment -L -j DROP\n"},
		{
			"a rule that is not understood is never skipped", "iptables -A DOCKER-USER --weird 5 -j DROP 2>/dev/null\niptables -A DOCKER-USER -j WEIRD || true\niptables -D DOCKER-USER --weird 5 -j DROP\n",
			"s.sh:1:1 Unknown option\ns.sh:2:1 No such target\ns.sh:3:1 Unknown option\n",
		},
		{
			"services that load or flush rules", "systemctl restart docker\nnetfilter-persistent save\nservice iptables save\nsystemctl stop iptables.service\nservice ipset restart\nnetfilter-persistent flush\nsystemctl is-active docker && iptables -A DOCKER-USER -j DROP\n",
			"s.sh:4:1 command \"systemctl\" in a script\ns.sh:5:1 command \"service\" in a script\ns.sh:6:1 command \"netfilter-persistent\" in a script\ns.sh:7:1 command that depends on another one in a script\nnote s.sh: commands that change no rules were skipped: systemctl, netfilter-persistent, service\n",
		},
		{
			"variables, loops and downloads", "A=1\niptables -A DOCKER-USER -s $A -j DROP\nfor i in 1 2; do iptables -A DOCKER-USER -j DROP; done\nif true; then :; fi\ncurl x\nf() { :; }\niptables -A DOCKER-USER -s `x` -j DROP\niptables -A DOCKER-USER -i eth* -j DROP\nwhile :; do :; done\niptables -A DOCKER-USER -j DROP &\nipset restore < x\n. ./other\n",
			"s.sh:1:1 variable in a script\ns.sh:2:28 variable, pattern or substitution in a script\ns.sh:3:1 loop in a script\ns.sh:4:1 condition in a script\ns.sh:5:1 command \"curl\" in a script\ns.sh:6:1 function in a script\ns.sh:7:28 variable, pattern or substitution in a script\ns.sh:8:28 variable, pattern or substitution in a script\ns.sh:9:1 loop in a script\ns.sh:10:1 background command in a script\ns.sh:11:15 input from a file in a script\ns.sh:12:1 command \".\" in a script\n",
		},
		{
			"mistakes in commands", "iptables -A DOCKER-USER -p tcp --dprt 1 -j DROP\nipset add nowhere 192.0.2.1\niptables -A DOCKER-USER -j NOWHERE\n",
			"s.sh:1:1 Unknown option\ns.sh:2:1 No such set\ns.sh:3:1 No such target\n",
		},
		{"what is no script", "#!/bin/sh\niptables -A \"DOCKER-USER\n", "s.sh:2:13 no shell script\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := describe(t, tree{"s.sh": c.script}, "s.sh"); got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

func TestAScriptThatIsRefusedSaysOnceWhatToDoInstead(t *testing.T) {
	_, diags, err := Read(tree{"s.sh": "A=1\nfor i in 1; do :; done\n$A\n"}, []string{"s.sh"})
	if err != nil || len(diags) != 3 {
		t.Fatal(err, diags)
	}
	for i, d := range diags {
		if how := strings.Contains(d.Detail, "iptables-save > rules.v4"); how != (i == 0) {
			t.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
}

func TestVariablesOfTheRole(t *testing.T) {
	const always = "ipv4:1 -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\nipv4:1 -i docker_gwbridge -j RETURN\nipv4:1 -s 172.18.0.0/16 -j RETURN\nipv4:1 -i docker0 -j RETURN\nipv4:1 -s 172.17.0.0/16 -j RETURN\n"
	for _, c := range []struct{ name, text, want string }{
		{"defaults", "iptables_docker_managed: true\niptables_docker_server_ip_allow_set: []\n", always + "ipv4:1 -m set ! --match-set ip_allow src -j DROP\nset ip_allow 0\n"},
		{
			"ports and adapters", "iptables_docker_server_ip_allow_set: [192.0.2.1]\niptables_docker_ip_allow_set:\n  - 198.51.100.0/24\niptables_docker_external_network_adapter:\n  - eth0\niptables_docker_swarm_ports_allow_tcp: [443, \"8000:8010\"]\n",
			always + "ipv4:6 -p tcp -m multiport --dports 443,8000:8010 -j RETURN\nipv4:5 -i eth0 -m set ! --match-set ip_allow src -j DROP\nset ip_allow 2\n",
		},
		{
			"templates and mistakes", "iptables_docker_ip_allow_set: [\"{{ a }}\", 192.0.2.256]\niptables_docker_swarm_ports_allow_udp: [https]\niptables_docker_bridge_name: [a]\n",
			"v.yml:3:30 not a value\nv.yml:2:41 bad port\nv.yml:1:32 not a value\nv.yml:1:43 bad address\n",
		},
		{"another file", "a: 1\n", "v.yml:1:1 no variables of the Ansible role\n"},
		{"no YAML", "a: [1\n", "v.yml:1:1 no YAML\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := describe(t, tree{"v.yml": c.text}, "v.yml")
			var lines []string
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, "note") {
					lines = append(lines, line)
				}
			}
			if got := strings.Join(lines, ""); got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

func TestFilesOfUFW(t *testing.T) {
	after := "*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -j ufw-skip-to-policy-input\nCOMMIT\n# BEGIN\n*filter\n:ufw-user-forward - [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j ufw-user-forward\n\n-A DOCKER-USER -j DROP -i eth0\nCOMMIT\n"
	six := strings.ReplaceAll(after, "ufw-", "ufw6-")
	user := "*filter\n:ufw-user-forward - [0:0]\n### RULES ###\n-A ufw-user-forward -p tcp --dport 80 -j ACCEPT\nCOMMIT\n"
	got := describe(t, tree{"after.rules": after, "after6.rules": six, "user.rules": user}, "after.rules", "user.rules", "after6.rules")
	if !strings.HasPrefix(got, "ipv4:9 -j ufw-user-forward\nipv4:11 -i eth0 -j DROP\nipv6:9 -j ufw6-user-forward\nipv6:11 -i eth0 -j DROP\nnote chain ufw6-user-forward of after6.rules is empty there") {
		t.Error(got)
	}
	if got := describe(t, tree{"after.rules": after + "x\n"}, "after.rules"); got != "after.rules:13:1 Line outside a table\n" {
		t.Error(got)
	}
	// What a chain that ufw makes does is not in the file.
	forwarded := strings.ReplaceAll(after, "-j ufw-user-forward", "-j ufw-skip-to-policy-forward")
	if got := describe(t, tree{"after.rules": forwarded}, "after.rules"); got != "after.rules:9:1 No such target\n" {
		t.Error(got)
	}
}

func TestSavedTables(t *testing.T) {
	v4 := "# Generated by iptables-save v1.8.9 on Thu Nov 26 07:53:49 2026\n*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j DROP\nCOMMIT\n"
	if got := describe(t, tree{"a": v4, "b": "create s hash:net family inet\nadd s 192.0.2.0/24\n"}, "a", "b"); got != "ipv4:4 -j DROP\nset s 1\n" {
		t.Error(got)
	}
	for text, want := range map[string]string{
		strings.Replace(v4, "-j DROP", "-j NOWHERE", 1): "a:4:1 No such target\n",
		"hello\n": "error: ",
		"":        "error: a is neither the output",
	} {
		if got := describe(t, tree{"a": text}, "a"); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", text, got)
		}
	}
	if got := describe(t, tree{}, "nowhere"); !strings.HasPrefix(got, "error: open nowhere") {
		t.Error(got)
	}
}

// Positions are in the file, and reading ends, whatever the file is.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"iptables -A DOCKER-USER -s 192.0.2.1 -j DROP\n", "#!/bin/sh\nipset create a hash:ip || true\niptables -C X -j Y || iptables -A X 1 -j Y\n",
		"*filter\n:ufw6-x - [0:0]\nCOMMIT\n", "iptables_docker_ip_allow_set: [1]\n", "iptables -A 'a\\b' \"$'x'\" -j \"\\\"\"\n",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, yaml bool) {
		name := "a"
		if yaml {
			name = "a.yml"
		}
		if len(text) > 4000 {
			return
		}
		_, diags, _ := Read(tree{name: text}, []string{name})
		lines := strings.Count(text, "\n") + 2
		for _, d := range diags {
			if d.Subject == nil || d.Subject.Filename != name || d.Subject.Start.Line < 1 || d.Subject.Start.Line > lines || d.Subject.Start.Column < 1 {
				t.Fatalf("%s: %v", d.Summary, d.Subject)
			}
		}
	})
}
