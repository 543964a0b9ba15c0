//go:build linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// fleet is three hosts, each a network namespace, to which Ansible deploys with the role in
// examples/ansible.
type fleet struct {
	t        *testing.T
	dir      string // has a folder for each host, with its files
	command  string // dockerfw on the controller
	compiled string
	hosts    map[string]*lab.Namespace
}

const ansibleDir = "../../examples/ansible"

var fleetHosts = []string{"web1", "web2", "db1"}

// policyDate is the day on which the policy of the example is compiled.
var policyDate = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// fakeSSH runs in the namespace of a host what ssh would run there. A host that has loaded
// the deny "trap" cannot be reached. Each host has its own folders.
const fakeSSH = `#!/bin/sh
for word; do host=$command command=$word; done
[ -d "DIR/$host" ] || exit 255
nsenter --net="/run/netns/$host" iptables-nft-save | grep -q 'dockerfw deny trap' && exit 255
export DOCKERFW_RUN="DIR/$host/run" DOCKERFW_STATE="DIR/$host/state" XTABLES_LOCKFILE="DIR/$host/xtables.lock"
exec nsenter --net="/run/netns/$host" sh -c "$command"
`

// dockerOfFleet are the chains and rules of Docker on a host.
const dockerOfFleet = "*filter\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n" +
	"-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n"

func newFleet(t *testing.T) *fleet {
	t.Helper()
	lab.Require(t, "ansible-playbook", "python3", "iptables-nft", "ipset", "nsenter")
	dir := t.TempDir()
	f := &fleet{t, dir, lab.Program(t), filepath.Join(dir, "compiled"), map[string]*lab.Namespace{}}
	f.write("ssh", strings.ReplaceAll(fakeSSH, "DIR", dir), 0o700)
	inventory := "docker_hosts:\n  hosts:\n"
	for _, name := range fleetHosts {
		host := lab.NewNamespace(t, "dfw-ansible")
		host.MustRun("ip", "link", "add", "eth0", "type", "veth")
		f.hosts[name] = host
		for _, folder := range []string{"etc", "bin"} {
			if err := os.MkdirAll(filepath.Join(dir, host.Name, folder), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		inventory += fmt.Sprintf("    %s:\n      ansible_host: %s\n      dockerfw_folder: %s\n      dockerfw_path: %s\n",
			name, host.Name, f.folder(name), f.program(name))
		// Docker has not run on db1 yet.
		for _, family := range []int{4, 6} {
			if name != "db1" {
				if err := host.IPTablesRestore(lab.NFT, family, dockerOfFleet); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	f.write("inventory.yml", inventory+fmt.Sprintf(`  vars:
    ansible_become: false
    ansible_python_interpreter: /usr/bin/python3
    ansible_ssh_executable: %s/ssh
    ansible_ssh_transfer_method: piped
    dockerfw_compiled_dir: %s
    dockerfw_program: %s
    dockerfw_service: false
`, dir, f.compiled, f.command), 0o600)
	return f
}

func (f *fleet) write(name, text string, mode os.FileMode) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), mode); err != nil {
		f.t.Fatal(err)
	}
}

// folder is the host's /etc/dockerfw.
func (f *fleet) folder(host string) string {
	return filepath.Join(f.dir, f.hosts[host].Name, "etc", "dockerfw")
}

// program is the host's /usr/local/bin/dockerfw.
func (f *fleet) program(host string) string {
	return filepath.Join(f.dir, f.hosts[host].Name, "bin", "dockerfw")
}

// compile compiles the policy of the example, with words replaced as strings.NewReplacer does.
func (f *fleet) compile(oldnew ...string) {
	f.t.Helper()
	text := readOr(f.t, filepath.Join(ansibleDir, "policy.hcl"), "")
	f.write("policy.hcl", strings.NewReplacer(oldnew...).Replace(text), 0o600)
	result, diags := driver.Policy(filepath.Join(f.dir, "policy.hcl"), driver.Options{Now: policyDate})
	if len(diags) > 0 {
		f.t.Fatal(diags)
	}
	if _, err := result.Folder().Write(f.compiled); err != nil {
		f.t.Fatal(err)
	}
}

var recapLine = regexp.MustCompile(`(?m)^(\w+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// play runs the playbook, and returns its output and the result of each host: unchanged,
// changed, failed or unreachable.
func (f *fleet) play(args ...string) (printed string, results map[string]string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ansible-playbook",
		append([]string{"-i", filepath.Join(f.dir, "inventory.yml"), filepath.Join(ansibleDir, "site.yml")}, args...)...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(
		os.Environ(), "ANSIBLE_CONFIG="+f.dir+"/none.cfg", "ANSIBLE_HOME="+f.dir+"/home", "ANSIBLE_LOCAL_TEMP="+f.dir+"/tmp",
		"ANSIBLE_REMOTE_TMP="+f.dir+"/tmp", "ANSIBLE_PIPELINING=1", "ANSIBLE_NOCOLOR=1", "ANSIBLE_RETRY_FILES_ENABLED=0",
		"TMPDIR="+f.dir, "LC_ALL=C.UTF-8",
	)
	start := time.Now()
	out, _ := cmd.CombinedOutput() // the recap has more than the exit status
	f.t.Logf("ansible-playbook %s: %s", strings.Join(args, " "), time.Since(start).Round(time.Second/10))
	results = map[string]string{}
	for _, m := range recapLine.FindAllStringSubmatch(string(out), -1) {
		switch {
		case m[3] != "0":
			results[m[1]] = "unreachable"
		case m[4] != "0":
			results[m[1]] = "failed"
		case m[2] != "0":
			results[m[1]] = "changed"
		default:
			results[m[1]] = "unchanged"
		}
	}
	return string(out), results
}

// expect runs the playbook, fails the test unless web1, web2 and db1 have these results, and
// returns the output. A host whose result is "" is excluded, to save time.
func (f *fleet) expect(web1, web2, db1 string, args ...string) string {
	f.t.Helper()
	want := map[string]string{"web1": web1, "web2": web2, "db1": db1}
	maps.DeleteFunc(want, func(_, word string) bool { return word == "" })
	printed, results := f.play(append(args, "--limit", strings.Join(slices.Collect(maps.Keys(want)), ","))...)
	if diff := cmp.Diff(want, results); diff != "" {
		f.t.Fatalf("ansible-playbook %v (-want +got):\n%s%s", args, diff, printed)
	}
	return printed
}

// state returns the rules, the sets, the current folder and the program of a host.
func (f *fleet) state(name string) map[string]string {
	f.t.Helper()
	host := f.hosts[name]
	link, _ := os.Readlink(f.folder(name))
	versions, _ := filepath.Glob(f.folder(name) + ".d/*")
	return map[string]string{
		"iptables":  withoutNoise(host.IPTablesSave(lab.NFT, 4, "filter")),
		"ip6tables": withoutNoise(host.IPTablesSave(lab.NFT, 6, "filter")),
		"ipset":     host.IPSetSave(),
		"link":      link,
		"folders":   strings.Join(versions, " "),
		"program":   folder.Digest([]byte(readOr(f.t, f.program(name), ""))),
	}
}

func (f *fleet) states() map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, name := range fleetHosts {
		out[name] = f.state(name)
	}
	return out
}

// verify returns an error of dockerfw verify if a host has not loaded a compiled folder.
func (f *fleet) verify(name, folder string) error {
	f.t.Helper()
	saved := f.t.TempDir()
	for file, text := range map[string]string{
		"iptables": f.hosts[name].IPTablesSave(lab.NFT, 4, "filter"), "ip6tables": f.hosts[name].IPTablesSave(lab.NFT, 6, "filter"),
		"ipset": f.hosts[name].IPSetSave(),
	} {
		if err := os.WriteFile(filepath.Join(saved, file), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	if out, err := exec.Command(f.command, "verify", folder, saved).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// requireDeployed fails the test unless the hosts have loaded and linked the folders compiled
// for them, and have no other folders.
func (f *fleet) requireDeployed(names ...string) {
	f.t.Helper()
	for _, name := range names {
		want := filepath.Join(f.compiled, name)
		if err := f.verify(name, want); err != nil {
			f.t.Error(err)
		}
		if out, err := exec.Command("diff", "-r", want, f.folder(name)).CombinedOutput(); err != nil {
			f.t.Errorf("%s: the folder on the host differs from the compiled one: %s", name, out)
		}
		s := f.state(name)
		if s["folders"] != s["link"] {
			f.t.Errorf("%s: the link is to %s, and the folders are %s", name, s["link"], s["folders"])
		}
		if s["program"] != folder.Digest([]byte(readOr(f.t, f.command, ""))) {
			f.t.Errorf("%s: the program on the host is not the one of the controller", name)
		}
	}
}

// requireUnchanged fails the test if a host changed.
func (f *fleet) requireUnchanged(before map[string]map[string]string, names ...string) {
	f.t.Helper()
	for _, name := range names {
		if diff := cmp.Diff(before[name], f.state(name)); diff != "" {
			f.t.Errorf("%s changed (-before +after):\n%s", name, diff)
		}
	}
}

// requireOutput fails the test unless the output contains all words.
func (f *fleet) requireOutput(printed string, words ...string) {
	f.t.Helper()
	for _, w := range words {
		if !strings.Contains(printed, w) {
			f.t.Errorf("the output of ansible-playbook does not contain %q:\n%s", w, printed)
		}
	}
}

// One test, since each run of Ansible takes seconds.
func TestAnsibleDeploysChangesAndRefusesDamagedFolders(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	clean := f.states()
	f.compile()
	// A program for another architecture, and none: on the controller, and on the host.
	f.write("foreign", foreignProgram(t, f.command), 0o700)
	printed := f.expect("failed", "", "failed", "--check", "-e", byHost("dockerfw_program", "web1", f.dir+"/foreign", "db1", ""))
	f.requireOutput(printed, "was not installed on this host", "Exec format error", "set dockerfw_program for this host", "No such file or directory")
	printed = f.expect("failed", "", "failed", "-e", byHost("dockerfw_program", "web1", f.dir+"/foreign", "db1", "no-such-program"))
	f.requireOutput(printed, "was not installed on this host", "Exec format error", "set dockerfw_program for this host", "There is no program no-such-program on the controller")
	f.requireUnchanged(clean, "web1", "db1")

	// The folder of web2 was installed by hand.
	if err := os.CopyFS(f.folder("web2"), os.DirFS(filepath.Join(f.compiled, "web2"))); err != nil {
		t.Fatal(err)
	}

	printed = f.expect("changed", "changed", "changed", "--check", "--diff")
	f.requireOutput(printed, "host web1: ", "some traffic is newly blocked", "published ports 80, 443/tcp", "host db1: ", "would change:", "IPv4 DOCKER-USER: add the rules")
	f.requireUnchanged(clean, fleetHosts...)
	if f.verify("web1", filepath.Join(f.compiled, "web1")) == nil {
		t.Fatal("verify accepts a host before the policy is loaded")
	}

	printed = f.expect("changed", "changed", "changed", "-e", "dockerfw_confirm=300")
	f.requireOutput(printed, "rolling back in 300 seconds unless you confirm", "confirmed")
	f.requireDeployed(fleetHosts...)

	first := f.states()

	// A change for db1, whose program was damaged, a damaged folder for web2, and nothing new for web1.
	f.compile("published_ports = [5432]", "published_ports = [5432, 5433]")
	good := readOr(t, filepath.Join(f.compiled, "web2/iptables.restore"), "")
	f.write("compiled/web2/iptables.restore", strings.ReplaceAll(good, "443", "444"), 0o600)
	if !testenv.Soak() {
		t.Log("without a check and a diff of a damaged folder; a soak runs them")
	} else {
		printed = f.expect("", "failed", "changed", "--check", "--diff")
		f.requireOutput(printed, "published port 5433/tcp", "IPv4 DOCKER-USER: replace the rules")
		f.requireUnchanged(first, fleetHosts...)
	}
	if err := os.WriteFile(f.program("db1"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	printed = f.expect("unchanged", "failed", "changed")
	f.requireOutput(printed, "was changed after it was compiled: iptables.restore")
	f.requireUnchanged(first, "web1", "web2")
	f.requireDeployed("db1")
	second := f.states()

	// Rules that block Ansible on web1, nothing new for db1, and a removal on web2.
	f.compile("published_ports = [5432]", "published_ports = [5432, 5433]", "default {", trap)
	printed = f.expect("failed", "changed", "unchanged", "-e", "dockerfw_confirm=3", "-e", byHost("dockerfw_state", "web1", "present", "web2", "absent", "db1", "present"))
	f.requireOutput(printed, "with the new rules the host could not be reached within 3 seconds")
	f.requireUnchanged(second, "web1", "db1")
	f.requireUnchanged(clean, "web2")

	// The second removal on web2 has nothing to do.
	f.expect("changed", "unchanged", "changed", "-e", "dockerfw_state=absent")
	f.requireUnchanged(clean, "web1", "web2") // on db1 DOCKER-USER stays for Docker
}

// byHost is a variable of the playbook whose value depends on the host: hosts and values alternate.
func byHost(name string, values ...string) string {
	var pairs []string
	for i := 0; i < len(values); i += 2 {
		pairs = append(pairs, fmt.Sprintf("'%s': '%s'", values[i], values[i+1]))
	}
	return fmt.Sprintf(`{%q: "{{ {%s}[inventory_hostname] }}"}`, name, strings.Join(pairs, ", "))
}

// foreignProgram returns an ELF file for another architecture: e_machine is at offset 18 (elf(5)).
func foreignProgram(t *testing.T, program string) string {
	t.Helper()
	text := []byte(readOr(t, program, ""))[:4096]
	text[18], text[19] = 0xff, 0x7f // no architecture has this number
	return string(text)
}

// trap is the deny that fakeSSH looks for.
const trap = `deny "trap" {
  hosts  = ["web1"]
  source = ["203.0.113.0/24"]
}

default {`
