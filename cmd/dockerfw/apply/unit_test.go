package apply

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheUnitStartsTheProgram(t *testing.T) {
	text, err := Unit(UnitName, "/usr/local/bin/dockerfw")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ExecStart=/usr/local/bin/dockerfw apply --boot /etc/dockerfw\n", "ExecReload=/usr/local/bin/dockerfw apply /etc/dockerfw\n"} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("the unit has no line %s", line)
		}
	}
	if strings.Contains(text, "{{") {
		t.Errorf("a placeholder remains:\n%s", text)
	}
}

func TestEachUnitStartsTheProgramOrAUnit(t *testing.T) {
	for _, name := range Units {
		text, err := Unit(name, "/usr/bin/dockerfw")
		if err != nil {
			t.Fatal(err)
		}
		if starts := strings.Contains(text, "\nExecStart=/usr/bin/dockerfw "); starts == strings.HasSuffix(name, ".timer") || strings.Contains(text, "{{") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// systemd would split the path, or replace a part of it.
func TestAUnitHasNoPathThatSystemdReadsInAnotherWay(t *testing.T) {
	for _, path := range []string{"/opt/my tools/dockerfw", "/opt/%n/dockerfw", "/opt/$x/dockerfw", `/opt/a"b`, `/opt/a\x41`, "/opt/a;b", "dockerfw", "", "/a\nExecStart=/b", "-/bin/x"} {
		if text, err := Unit(UnitName, path); err == nil {
			t.Errorf("%q is in the unit:\n%s", path, text)
		}
	}
}

func TestAProgramThatMayBeMissingAtBootIsReported(t *testing.T) {
	for path, want := range map[string]bool{"/tmp/x/dockerfw": true, "/home/me/dockerfw": true, "/root/dockerfw": true, "/usr/local/bin/dockerfw": false, "/opt/tmp/dockerfw": false} {
		if got := UnitWarning(path) != ""; got != want {
			t.Errorf("%s: reported %v, want %v", path, got, want)
		}
	}
}

// The test runs itself as the program, by a link and by its path.
func TestALinkToTheProgramStays(t *testing.T) {
	if os.Getenv("PRINT_PROGRAM") != "" {
		path, err := Program()
		if err != nil {
			t.Fatal(err)
		}
		t.Log("program=" + path)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(self, link); err != nil {
		t.Skip(err)
	}
	for called, want := range map[string]string{link: link, self: self} {
		cmd := exec.Command(called, "-test.run=^TestALinkToTheProgramStays$", "-test.v")
		cmd.Env = append(os.Environ(), "PRINT_PROGRAM=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "program="+want+"\n") {
			t.Errorf("%s: %v, want %s\n%s", called, err, want, out)
		}
	}
}
