package starter

import (
	"os"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
ens3	00000000	010200C0	0003	0	0	100	00000000	0	0	0
`

func TestTheExternalInterfaceIsThatOfTheDefaultRoute(t *testing.T) {
	if name, how := defaultInterface(strings.NewReader(routes)); name != "ens3" || how != "the interface of the default route" {
		t.Errorf("%s, %s", name, how)
	}
	if name, _ := defaultInterface(strings.NewReader("")); name != "eth0" {
		t.Errorf("without a default route: %s", name)
	}
}

func TestTheFirstPolicyCompilesAndItsTestsPass(t *testing.T) {
	dir := t.TempDir()
	path, err := Write(dir, "ens3")
	if err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	results, err := result.Test()
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 4 {
		t.Errorf("%d tests, not 4", len(results))
	}
	for _, r := range results {
		if !r.Passed() {
			t.Errorf("%s: %s by %s", r.Test.Name.Value, r.Got, r.By)
		}
	}
}

func TestAnExistingPolicyIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path, err := Write(dir, "ens3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(dir, "eth9"); err == nil || !strings.HasSuffix(err.Error(), "policy.hcl already exists; not overwritten") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(Text("ens3")) {
		t.Errorf("it was changed: %s %v", text, err)
	}
}
