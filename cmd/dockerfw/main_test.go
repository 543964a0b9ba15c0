package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"github.com/dockerfw/dockerfw/parser/escape/escapetest"
)

var update = flag.Bool("update", false, "write what commands print into the scripts that compare it")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dockerfw": main})
}

// TestScripts runs testdata/script/*.txt, which read like terminal sessions.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			// Messages are compared without colors and outside any terminal.
			env.Setenv("NO_COLOR", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"age":    age,
			"ageis":  ageIs,
			"files":  filesAre,
			"inert":  inert,
			"repeat": repeat,
			"status": exitStatus, "unprivileged": unprivileged,
		},
	})
}

var longAgo = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// age FILE...: sets the modification time of the files to a time long ago.
func age(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Check(os.Chtimes(ts.MkAbs(name), longAgo, longAgo))
	}
}

// [!] ageis FILE...: the files have not been written since age.
func ageIs(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.ModTime().Equal(longAgo) == neg {
			ts.Fatalf("%s was last written at %v", name, info.ModTime())
		}
	}
}

// files DIRECTORY [NAME...]: the directory has exactly these files, hidden ones included.
func filesAre(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var have []string
	for _, e := range entries {
		if e.Name() != ".tmp" { // the script's own
			have = append(have, e.Name())
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(args[1:]) == !neg {
		ts.Fatalf("%s has %v", args[0], have)
	}
}

// inert [markdown]: the output of the last command has no control characters for terminals and
// no commands for CI runners and, as Markdown, no links, images or mentions.
func inert(ts *testscript.TestScript, neg bool, args []string) {
	for _, stream := range []string{"stdout", "stderr"} {
		text := ts.ReadFile(stream)
		if problem := escapetest.Terminal(text, false); problem != "" {
			ts.Fatalf("%s: %s", stream, problem)
		}
		if line := escapetest.Runner(text); line != "" {
			ts.Fatalf("%s: a runner executes %q", stream, line)
		}
	}
	if len(args) > 0 {
		if live := escapetest.Markdown(ts.ReadFile("stdout")).Live; len(live) > 0 {
			ts.Fatalf("live in Markdown: %q", live)
		}
	}
}

// repeat FILE COUNT TEXT: appends the text COUNT times to the file.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(strings.Repeat(args[2]+"\n", count))
	ts.Check(err)
	ts.Check(f.Close())
}

// status CODE COMMAND ARGUMENT...: the command has this exit code.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var ok bool
		if code, ok = exitCode(err); !ok {
			ts.Fatalf("%v", err)
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%s: exit code %d, not %s", filepath.Base(args[1]), code, args[0])
	}
}

func exitCode(err error) (int, bool) {
	exit, ok := err.(interface{ ExitCode() int })
	if !ok {
		return 0, false
	}
	return exit.ExitCode(), true
}

// Every command and each of its own flags is in docs/commands.md.
func TestEveryCommandIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(text)
	for _, cmd := range rootCommand().Commands() {
		if cmd.Name() == "help" {
			continue
		}
		if !strings.Contains(docs, "`dockerfw "+cmd.Name()) {
			t.Errorf("%s is not documented", cmd.Name())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && f.Name != "output" && !strings.Contains(docs, "--"+f.Name) &&
				(f.Shorthand == "" || !strings.Contains(docs, "`-"+f.Shorthand+"`")) {
				t.Errorf("%s --%s is not documented", cmd.Name(), f.Name)
			}
		})
	}
}
