package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/manual"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

var edition = manual.Edition{Version: "1.2.3", Date: "2026-03-04"}

func TestEveryCommandHasAManualPage(t *testing.T) {
	pages := manual.Pages(rootCommand(), edition)
	eachCommand(func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := pages[name]
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"} {
			if !strings.Contains(page, "\n.SH "+section+"\n") {
				t.Errorf("%s has no section %s", name, section)
			}
		}
		if strings.Contains(page, "The exit code") != strings.Contains(page, "\n.SH EXIT STATUS\n") {
			t.Errorf("%s: the exit codes are not in a section of their own", name)
		}
		delete(pages, name)
	})
	for name := range pages {
		t.Errorf("%s is about no command", name)
	}
}

func TestManualPagesDependOnNothingElse(t *testing.T) {
	first := manual.Pages(rootCommand(), edition)
	for name, page := range manual.Pages(rootCommand(), edition) {
		if page != first[name] {
			t.Errorf("%s differs", name)
		}
	}
}

// Both renderers warn about unknown requests, wrong nesting and missing sections.
func TestManualPagesHaveNoWarnings(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for name, page := range manual.Pages(rootCommand(), edition) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, tool := range [][]string{
		{"mandoc", "-T", "lint", "-W", "warning"},
		{"groff", "-man", "-ww", "-T", "utf8", "-z"},
	} {
		t.Run(tool[0], func(t *testing.T) {
			if _, err := exec.LookPath(tool[0]); err != nil {
				testenv.SkipOrFail(t, err.Error())
			}
			for _, file := range files {
				if out, err := exec.Command(tool[0], append(tool[1:], file)...).CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
}

// What man prints has the options and examples as they are typed.
func TestAManualPageShowsOptionsAsTheyAreTyped(t *testing.T) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	cmd := exec.Command("mandoc", "-T", "ascii")
	cmd.Stdin = strings.NewReader(manual.Pages(rootCommand(), edition)["dockerfw-compile.1"])
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("_\b", "").Replace(string(out))
	for i := strings.IndexByte(text, '\b'); i > 0; i = strings.IndexByte(text, '\b') {
		text = text[:i-1] + text[i+1:] // bold is a letter, a backspace and the letter
	}
	for _, want := range []string{"-o, --output FOLDER\n", "--var-file FILE\n", `dockerfw compile policy/ -o compiled -var 'clients=["192.0.2.10"]'`, "DOCKERFW-COMPILE(1)", "2026-03-04"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %s:\n%s", want, text)
		}
	}
}
