package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// policyFile writes a policy and the list that it may use.
func policyFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	var list strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&list, "10.%d.%d.1\n2001:db8:%x::/48\n", i/250, i%250, 2*i)
	}
	for name, text := range map[string]string{"policy.hcl": text, "list.txt": list.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "policy.hcl")
}

// emitted returns the files that Policy emits.
func emitted(t *testing.T, path string) (map[string]string, *Result) {
	t.Helper()
	var mu sync.Mutex
	files := map[string]string{}
	result, diags := Policy(path, Options{Emit: func(path string, file folder.File) error {
		mu.Lock()
		defer mu.Unlock()
		var text strings.Builder
		if file.Large != nil {
			if err := file.Large.Print(&text); err != nil {
				return err
			}
		}
		files[path] = string(file.Content) + text.String()
		return nil
	}})
	if diags.HasErrors() || result.EmitError != nil {
		t.Fatal(diags, result.EmitError)
	}
	return files, result
}

// More groups of equal hosts, one in another, than have their files kept.
func TestFilesOfEqualHostsAreThoseOfEachAlone(t *testing.T) {
	const groups = maxPrinted + 3
	for _, target := range []string{"iptables", "nftables"} {
		var text strings.Builder
		for i := range 3 * groups {
			fmt.Fprintf(&text, "host \"web%d\" {\n  external_interfaces = [\"eth0\"]\n  target = %q\n  variables = { number = %d }\n}\n", i, target, i%groups)
		}
		text.WriteString("variable \"number\" {\n  type = number\n}\naccept \"own\" {\n  protocol = \"tcp\"\n  published_ports = [2000 + var.number]\n}\n")
		text.WriteString("ipset \"few\" {\n  entries = [\"192.0.2.0/24\"]\n}\ndeny \"few\" {\n  source = [ipset.few]\n}\n")
		path := policyFile(t, text.String())
		all, diags := Policy(path, Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, h := range all.Hosts {
			alone, diags := Policy(path, Options{Hosts: []string{h.Label()}})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if diff := cmp.Diff(alone.Hosts[0].Files, h.Files, cmpopts.IgnoreUnexported(folder.File{})); diff != "" {
				t.Fatalf("%s of target %s (-alone +with others):\n%.2000s", h.Label(), target, diff)
			}
		}
	}
}

// Hosts that are equal but for their names, hosts that all differ and are too many to be kept,
// and hosts about which a warning is reported.
func TestEmittedFilesAreThoseOfAllHostsInMemory(t *testing.T) {
	list := "ipset \"list\" {\n  files = [\"list.txt\"]\n}\ndeny \"list\" {\n  source = [ipset.list]\n}\n"
	own := "accept \"own\" {\n  protocol        = \"tcp\"\n  published_ports = [20000 + var.number]\n}\n"
	unused := "ipset \"unused\" {\n  entries = [\"192.0.2.1\"]\n}\n"
	for name, text := range map[string]string{
		"equal hosts":     fleet(12, 3) + list,
		"different hosts": fleet(maxKeptHosts+9, 3) + list + own,
		"a warning":       fleet(12, 3) + list + unused,
	} {
		t.Run(name, func(t *testing.T) {
			path := policyFile(t, text)
			atOnce, diags := Policy(path, Options{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			want := map[string]string{}
			for path, content := range atOnce.Folder() {
				want[path] = string(content)
			}
			got, result := emitted(t, path)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-at once +emitted):\n%.2000s", diff)
			}
			for i, h := range result.Hosts {
				if i < DescribedHosts && h.Tables.Host != atOnce.Hosts[i].Tables.Host || i >= DescribedHosts && h.Tables != nil || h.Files != nil {
					t.Errorf("host %d of the result: %+v", i, h)
				}
			}
		})
	}
}

// Errors that are found only in the tables of hosts, of the first ones or of those that are too many to be kept.
func TestErrorsInTablesAreThoseOfAllHostsInMemory(t *testing.T) {
	var sets, names []string
	for i := range 40 {
		sets = append(sets, fmt.Sprintf("ipset \"m%d\" {\n  entries = [\"203.0.113.%d\"]\n}\n", i, i))
		names = append(names, fmt.Sprintf("ipset.m%d", i))
	}
	rule := "accept \"many\" {\n  enabled    = %s\n  source_not = [%s]\n}\n"
	hosts := maxKeptHosts + 9
	text := fleet(hosts, 3) + strings.Join(sets, "") +
		"accept \"own\" {\n  protocol        = \"tcp\"\n  published_ports = [20000 + var.number]\n}\n" +
		"ipset \"unused\" {\n  entries = [\"192.0.2.1\"]\n}\n"
	for name, enabled := range map[string]string{
		"the last hosts":         fmt.Sprintf("var.number >= %d", hosts-3),
		"the first and the last": fmt.Sprintf("contains([1, 2, %d], var.number)", hosts-1),
		"all":                    "true",
	} {
		t.Run(name, func(t *testing.T) {
			path := policyFile(t, text+fmt.Sprintf(rule, enabled, strings.Join(names, ", ")))
			atOnce, want := Policy(path, Options{})
			streamed, got := Policy(path, Options{Emit: func(string, folder.File) error { return nil }})
			if !want.HasErrors() || atOnce.Hosts != nil || streamed.Hosts != nil {
				t.Fatalf("no errors, or hosts in spite of them: %v", want)
			}
			text := func(diags hcl.Diagnostics) (out []string) {
				for _, d := range diags {
					out = append(out, fmt.Sprint(d.Severity, d.Subject, d.Summary, d.Detail))
				}
				return out
			}
			if diff := cmp.Diff(text(want), text(got)); diff != "" {
				t.Errorf("(-at once +emitted):\n%.3000s", diff)
			}
		})
	}
}

func TestAnErrorOfEmitEndsTheWork(t *testing.T) {
	full := errors.New("the disk is full")
	calls := 0
	var mu sync.Mutex
	result, diags := Policy(policyFile(t, fleet(50, 1)), Options{Emit: func(string, folder.File) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return full
	}})
	if diags.HasErrors() || !errors.Is(result.EmitError, full) || calls > 20 {
		t.Errorf("%v, %v, %d calls", diags, result.EmitError, calls)
	}
}

func TestACancelledContextEndsTheWork(t *testing.T) {
	why := errors.New("cancelled by the test")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	result, diags := Policy(policyFile(t, fleet(3, 1)), Options{Context: ctx, Emit: func(string, folder.File) error {
		t.Error("a file was emitted")
		return nil
	}})
	if diags.HasErrors() || !errors.Is(result.EmitError, why) || result.Hosts != nil {
		t.Errorf("%v, %v", diags, result.EmitError)
	}
}

// Text that is too large for memory has the same bytes as in memory, also where hosts share it.
func TestLargeSetsAreEmittedAsInMemory(t *testing.T) {
	path := policyFile(t, fleet(2, 1)+"ipset \"list\" {\n  files = [\"long.txt\"]\n}\ndeny \"list\" {\n  source = [ipset.list]\n}\n")
	var list strings.Builder
	for i := range 150_000 {
		fmt.Fprintf(&list, "10.%d.%d.%d\n2001:db8:%x::%x\n", i>>15, i>>7&255, i<<1&255, i>>8, i<<1&1023)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "long.txt"), []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	atOnce, diags := Policy(path, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	large := 0
	var mu sync.Mutex
	result, diags := Policy(path, Options{Emit: func(path string, file folder.File) error {
		mu.Lock()
		defer mu.Unlock()
		content := atOnce.Folder()[path]
		if file.Large == nil {
			if string(content) != string(file.Content) {
				t.Errorf("%s differs", path)
			}
			return nil
		}
		large++
		var text bytes.Buffer
		if err := file.Large.Print(&text); err != nil || !bytes.Equal(content, text.Bytes()) {
			t.Errorf("%s differs: %v", path, err)
		}
		return nil
	}})
	if diags.HasErrors() || result.EmitError != nil || large != 2 {
		t.Errorf("%v, %v, %d large files", diags, result.EmitError, large)
	}
}

// What only checks a policy needs no files, of which those of a fleet do not fit into memory.
func TestPoliciesWithoutFilesAreTheSame(t *testing.T) {
	own := "accept \"own\" {\n  protocol        = \"tcp\"\n  published_ports = [20000 + var.number]\n}\naccept \"again\" {\n  protocol        = \"tcp\"\n  published_ports = [20000]\n}\n"
	path := policyFile(t, fleet(7, 3)+own+"test \"own\" {\n  from    = \"192.0.2.1\"\n  to_port = 20003\n  expect  = \"accept\"\n}\n")
	whole, diags := Policy(path, Options{})
	only, more := Policy(path, Options{PoliciesOnly: true})
	if diff := cmp.Diff(fmt.Sprint(diags), fmt.Sprint(more)); diff != "" || diags.HasErrors() || len(only.Hosts) != 7 {
		t.Fatalf("%d hosts, diagnostics (-with files +without):\n%s", len(only.Hosts), diff)
	}
	for _, h := range only.Hosts {
		if h.Files != nil || h.Tables != nil || h.NFT != nil || h.Policy.Host.Name != h.Label() {
			t.Errorf("host %q: %+v", h.Label(), h)
		}
	}
	if diff := cmp.Diff(fmt.Sprint(whole.Lint()), fmt.Sprint(only.Lint())); diff != "" {
		t.Errorf("lint (-with files +without):\n%s", diff)
	}
	want, err := whole.Test()
	if err != nil {
		t.Fatal(err)
	}
	got, err := only.Test()
	texts := func(results []policytest.Result) (out []string) {
		for _, r := range results {
			out = append(out, fmt.Sprint(r.Host, " ", r.Packet, " ", r.Got, " ", r.By))
		}
		return out
	}
	if diff := cmp.Diff(texts(want), texts(got)); diff != "" || err != nil || len(got) != 7 {
		t.Errorf("%d results, %v (-with files +without):\n%s", len(got), err, diff)
	}
}
