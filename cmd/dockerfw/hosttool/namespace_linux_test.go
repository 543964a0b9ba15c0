package hosttool

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// newNamespace returns a runner whose default lock is a file of the test, with a namespace.
func newNamespace(t *testing.T) (r *Runner, n *Namespace, lockFile string) {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.SkipOrFail(t, "root is required to create a network namespace")
	}
	lockFile = filepath.Join(t.TempDir(), "xtables.lock")
	t.Setenv(lockVariable, lockFile)
	r = New()
	n, err := r.NewNamespace()
	if err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, n, lockFile
}

func networkOf(t *testing.T, path string) string {
	t.Helper()
	link, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestANamespaceIsNotTheOneOfTheProcess(t *testing.T) {
	before := networkOf(t, "/proc/self/ns/net")
	r, n, _ := newNamespace(t)
	other, err := r.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	seen := map[string]bool{before: true}
	for _, ns := range []*Namespace{n, other} {
		for range 3 {
			out, err := ns.Output(t.Context(), nil, "readlink", "/proc/self/ns/net")
			if err != nil {
				t.Fatal(err)
			}
			seen[strings.TrimSpace(string(out))] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("three namespaces were expected: %v", seen)
	}
	for range 20 {
		out, err := r.Output(t.Context(), nil, "readlink", "/proc/self/ns/net")
		if err != nil || strings.TrimSpace(string(out)) != before {
			t.Errorf("a tool of the host runs in %s, %v; want %s", out, err, before)
		}
	}
	if now := networkOf(t, "/proc/self/ns/net"); now != before {
		t.Errorf("the process is in %s, was in %s", now, before)
	}
	if r.Started() != 26 {
		t.Errorf("%d processes were started, want 26", r.Started())
	}
}

func TestALockOfTheHostDoesNotMatterInANamespace(t *testing.T) {
	r, n, lockFile := newNamespace(t)
	const tool = "iptables-legacy-restore"
	if _, err := r.Find(tool); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	held, err := os.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	rules := []byte("*filter\n:DOCKERFW - [0:0]\n-A DOCKERFW -j RETURN\nCOMMIT\n")
	if _, err := n.Output(t.Context(), rules, tool, "--noflush"); err != nil {
		t.Fatal(err)
	}
	out, err := n.Output(t.Context(), nil, "iptables-legacy-save", "-t", "filter")
	if err != nil || !strings.Contains(string(out), "-A DOCKERFW -j RETURN\n") {
		t.Errorf("%v\n%s", err, out)
	}
	// The same tool with the lock of the host cannot get it.
	_, err = r.Output(t.Context(), rules, "unshare", "--net", tool, "-w", "1", "--noflush")
	if err == nil || !strings.Contains(err.Error(), "xtables lock") {
		t.Errorf("a lock that is held: %v", err)
	}
}

// The rehearsal of a compiled folder: sets, then rules that use them, of both backends.
func TestRulesAndSetsInANamespace(t *testing.T) {
	r, n, _ := newNamespace(t)
	for _, kind := range []string{"nft", "legacy"} {
		for _, tool := range []string{"ipset", "ip6tables-" + kind + "-restore"} {
			if _, err := r.Find(tool); err != nil {
				testenv.SkipOrFail(t, err.Error())
			}
		}
		sets := []byte("create clients-" + kind + " hash:net family inet6\nadd clients-" + kind + " 2001:db8::/32\n")
		rules := "-A DOCKERFW -m set --match-set clients-" + kind + " src -j RETURN\n"
		if _, err := n.Output(t.Context(), sets, "ipset", "restore"); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"filter", "security"} {
			input := []byte("*" + table + "\n:DOCKERFW - [0:0]\n" + rules + "COMMIT\n")
			if _, err := n.Output(t.Context(), input, "ip6tables-"+kind+"-restore", "--noflush"); err != nil {
				t.Fatal(err)
			}
			out, err := n.Output(t.Context(), nil, "ip6tables-"+kind+"-save", "-t", table)
			if err != nil || !strings.Contains(string(out), rules) {
				t.Errorf("%s: %v\n%s", kind, err, out)
			}
		}
	}
	_, err := n.Output(t.Context(), []byte("create clients-nft hash:ip\n"), "ipset", "restore")
	if err == nil || !strings.Contains(err.Error(), "ipset restore: ipset v") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a set that exists with another type: %v", err)
	}
}

func TestACallInANamespaceCanBeCanceled(t *testing.T) {
	_, n, _ := newNamespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Output(ctx, nil, "sleep", "60"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := n.Output(t.Context(), nil, "true"); err != nil {
		t.Error(err)
	}
}

func TestANamespaceThatIsRefused(t *testing.T) {
	if os.Geteuid() == 0 {
		child := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("without root: %v\n%s", err, out)
		}
		return
	}
	n, err := New().NewNamespace()
	if n != nil || !errors.Is(err, ErrNamespace) || !errors.Is(err, unix.EPERM) || err.Error() != "cannot create a network namespace: operation not permitted" {
		t.Errorf("%v, %v", n, err)
	}
}

func TestToolsOfANamespaceRunAtTheSameTimeAndKeepAFileThatIsHeld(t *testing.T) {
	r, n, _ := newNamespace(t)
	held, err := os.CreateTemp(t.TempDir(), "held")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	r.Hold(held)
	defer r.Hold(nil)
	// Each waits until the other one runs.
	dir := t.TempDir()
	const wait = `
touch "$1/$2"
n=0
until [ -e "$1/$3" ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done
readlink /proc/self/fd/3 /proc/self/fd/4
`
	type answer struct {
		out []byte
		err error
	}
	answers := make(chan answer)
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			out, err := n.Output(t.Context(), nil, "sh", "-c", wait, "sh", dir, names[0], names[1])
			answers <- answer{out, err}
		}()
	}
	for range 2 {
		a := <-answers
		lines := strings.Split(string(a.out), "\n")
		if a.err != nil || len(lines) != 3 || !strings.Contains(lines[0], "xtables.lock") || lines[1] != held.Name() {
			t.Errorf("%v: %q", a.err, lines)
		}
	}
}
