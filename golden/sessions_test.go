package golden

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sessionDocs are the documents whose console blocks are run, from the first one to the
// last one in the same directory.
var sessionDocs = []string{"../README.md", "../docs/guide.md", "../docs/commands.md"}

// A command of a console block: one with the prompt "$" is typed where the policy is, one
// with "web1#" on the host, as root.
var prompt = regexp.MustCompile(`^(\$|web1#) (.*)$`)

type step struct {
	prompt, command string
	output          []string
}

func steps(text string) []step {
	var out []step
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if m := prompt.FindStringSubmatch(line); m != nil {
			out = append(out, step{prompt: m[1], command: m[2]})
		} else if len(out) > 0 {
			out[len(out)-1].output = append(out[len(out)-1].output, line)
		}
	}
	return out
}

// session is where the commands of a document run: a directory with the policy, and a
// host, which is a network namespace with rules as Docker makes them.
type session struct {
	dir, bin string
	host     []string // the command that runs another one on the host; nil without root
	code     int      // the exit code of the last command
}

func newSession(t *testing.T, bin string) *session {
	t.Helper()
	s := &session{dir: filepath.Join(t.TempDir(), "policy"), bin: bin}
	for _, dir := range []string{"policy", "host/etc/dockerfw.d"} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFiles(t, s.path(""), map[string]string{
		".gitconfig": "[user]\n  name = Ann\n  email = ann@example.org\n[init]\n  defaultBranch = main\n",
	})
	s.host = newHost(t, s.path("host"))
	return s
}

func (s *session) path(name string) string { return filepath.Join(filepath.Dir(s.dir), name) }

// newHost makes a network namespace with the interface eth0 and the rules of an engine, and
// returns the command that enters it; nil if that needs what is not here.
func newHost(t *testing.T, dir string) []string {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "ip", "iptables", "ip6tables", "ipset"} {
		if _, err := exec.LookPath(tool); err != nil || os.Getuid() != 0 {
			return nil
		}
	}
	holder := exec.Command("unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if _, err := out.Read(make([]byte, len("ready"))); err != nil {
		t.Fatalf("unshare --net: %v", err)
	}
	enter := []string{"nsenter", "--target", strconv.Itoa(holder.Process.Pid), "--net"}
	writeFiles(t, dir, map[string]string{"docker.v4": dockerRules, "docker.v6": dockerRules6})
	setup := "ip link add eth0 type veth peer name peer0 && ip link set peer0 up && ip link set eth0 up && " +
		"ip address add 203.0.113.10/24 dev eth0 && ip route add default via 203.0.113.1 && iptables-restore < docker.v4 && ip6tables-restore < docker.v6"
	if text, code := runShell(t, dir, setup, os.Environ(), enter...); code != 0 {
		t.Fatalf("the host: %s", text)
	}
	return enter
}

// What an engine has for two published ports, 443 and 5432.
const (
	dockerRules = `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:8443
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.3:5432
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8443 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`
	dockerRules6 = `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`
)

// run runs a command and returns what it prints. /etc on the host is a directory of the
// session, and scp is a copy to there.
func (s *session) run(t *testing.T, c step) []string {
	t.Helper()
	command := fmt.Sprintf("(exit %d); %s", s.code, c.command)
	env := docsEnvironment(s.bin, filepath.Dir(s.dir))
	var wrap []string
	replace := []string{"root@web1:/", s.path("host") + "/", "scp ", "cp "}
	if c.prompt != "$" {
		wrap = s.host
		replace = []string{"/etc/", s.path("host/etc") + "/"}
		env = append(env, "DOCKERFW_RUN="+s.path("host/run"), "DOCKERFW_STATE="+s.path("host/state"))
	}
	text, code := runShell(t, s.dir, strings.NewReplacer(replace...).Replace(command), env, wrap...)
	s.code = code
	text = strings.NewReplacer(s.path("host"), "", s.dir+"/", "").Replace(text)
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// Each console block of the documents shows what the program prints. An hcl block is the
// policy.hcl of the commands after it, a yaml block their compose.yaml, a script their firewall.sh, and a
// diff block changes the policy. A line with "…"
// stands for any lines. With -update, the outputs are rewritten.
func TestSessionsOfTheDocsPrintWhatTheDocsShow(t *testing.T) {
	bin := builtProgram(t)
	for _, doc := range sessionDocs {
		t.Run(filepath.Base(doc), func(t *testing.T) {
			t.Parallel()
			s := newSession(t, bin)
			policy := filepath.Join(s.dir, "policy.hcl")
			lines := strings.Split(readDoc(t, doc), "\n")
			blocks := fences(t, doc)
			// From the last one, so that the places of those before it do not change.
			type change struct {
				from, to int
				text     []string
			}
			var changes []change
			for _, f := range blocks {
				place := fmt.Sprintf("%s:%d", filepath.Base(doc), f.line)
				switch f.language {
				case "hcl":
					writeFiles(t, s.dir, map[string]string{"policy.hcl": f.text})
				case "yaml":
					writeFiles(t, s.dir, map[string]string{"compose.yaml": f.text})
				case "sh":
					if strings.HasPrefix(f.text, "#!") {
						writeFiles(t, s.dir, map[string]string{"firewall.sh": f.text})
					}
				case "diff":
					old := readDoc(t, policy)
					writeFiles(t, s.dir, map[string]string{"policy.hcl": patch(t, place, old, f.lines())})
				case "console":
					var text []string
					for _, c := range steps(f.text) {
						text = append(text, c.prompt+" "+c.command)
						if c.prompt != "$" && s.host == nil {
							t.Logf("%s: not run: it needs root, iptables, ipset and util-linux: %s", place, c.command)
							text = append(text, c.output...)
							continue
						}
						got := s.run(t, c)
						if shows(c.output, got) {
							got = c.output
						} else if !*update {
							t.Errorf("%s: %s (-the document, +the program):\n%s", place, c.command, cmp.Diff(c.output, got))
						} else if n := len(c.output) - 1; n >= 0 && n < len(got) && c.output[n] == "…" {
							got = append(got[:n:n], "…")
						}
						text = append(text, got...)
					}
					changes = append(changes, change{f.line - 1, f.line - 1 + len(f.lines()), text})
				}
			}
			if len(changes) == 0 {
				t.Error("no console block")
			}
			if *update {
				for _, c := range slices.Backward(changes) {
					lines = slices.Replace(lines, c.from, c.to, c.text...)
				}
				if err := os.WriteFile(doc, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// shows reports whether these lines of a document show this output.
func shows(doc, output []string) bool {
	for i, line := range doc {
		if line == "…" {
			for rest := range len(output) + 1 {
				if shows(doc[i+1:], output[rest:]) {
					return true
				}
			}
			return false
		}
		if len(output) == 0 || output[0] != line {
			return false
		}
		output = output[1:]
	}
	return len(output) == 0
}

// patch replaces the lines of a diff that begin with " " or "-" by those that begin with
// " " or "+".
func patch(t *testing.T, place, text string, diff []string) string {
	t.Helper()
	var from, to string
	for _, line := range diff {
		if line == "" {
			line = " "
		}
		if line[0] != '+' {
			from += line[1:] + "\n"
		}
		if line[0] != '-' {
			to += line[1:] + "\n"
		}
	}
	if strings.Count(text, from) != 1 {
		t.Fatalf("%s: the lines to change are not in the policy once:\n%s", place, text)
	}
	return strings.Replace(text, from, to, 1)
}

// Command lines in sh blocks are not run, but their commands and options exist.
func TestCommandLinesOfTheDocsHaveOptionsOfTheProgram(t *testing.T) {
	bin := builtProgram(t)
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	help := map[string]string{}
	found := 0
	for _, doc := range append(docs, "../README.md", "../examples/README.md", "../examples/ansible/README.md") {
		for _, f := range fences(t, doc) {
			if f.language == "" && strings.HasPrefix(f.text, "$ ") {
				t.Errorf("%s:%d: a console block without a language is not run", doc, f.line)
			}
			if f.language != "sh" {
				continue
			}
			for _, m := range regexp.MustCompile(`(?m)^dockerfw ([a-z]+)( .*)?$`).FindAllStringSubmatch(f.text, -1) {
				command := m[1]
				if _, ok := help[command]; !ok {
					text, code := runShell(t, ".", "dockerfw help "+command, docsEnvironment(bin, t.TempDir()))
					if code != 0 || !strings.Contains(text, "dockerfw "+command) {
						t.Errorf("%s:%d: no command %s", doc, f.line, command)
					}
					help[command] = text
				}
				arguments, _, _ := strings.Cut(m[2], " #")
				for _, option := range regexp.MustCompile(` (--?[a-z-]+)`).FindAllStringSubmatch(arguments, -1) {
					found++
					name := strings.Replace(option[1], "-var", "--var", 1)
					name = strings.Replace(name, "---", "--", 1)
					if !strings.Contains(help[command], " "+name) {
						t.Errorf("%s:%d: dockerfw %s has no option %s", doc, f.line, command, option[1])
					}
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d options found in the documents", found)
	}
}
