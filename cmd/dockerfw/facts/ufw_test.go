package facts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUFWThatDeletesRulesWithoutTheHookIsReported(t *testing.T) {
	const (
		enabled  = "etc/ufw/ufw.conf=# ENABLED=no\nENABLED=yes\nLOGLEVEL=low\n"
		builtins = "etc/default/ufw=IPV6=yes\nMANAGE_BUILTINS=yes\n"
		quoted   = "etc/default/ufw=MANAGE_BUILTINS=no\nMANAGE_BUILTINS=\"yes\" # all tables\n"
		defaults = "etc/default/ufw=# MANAGE_BUILTINS=yes\nMANAGE_BUILTINS=no\n"
		block    = "etc/ufw/after.rules=*filter\n:ufw-user-forward - [0:0]\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n"
		noBlock  = "etc/ufw/after.rules=*filter\n# :DOCKER-USER - [0:0]\n:ufw-after-input - [0:0]\nCOMMIT\n"
		hook     = "etc/ufw/after.init=#!/bin/sh\ncase \"$1\" in start|stop)\n\tPATH=/usr/local/bin:/usr/bin:$PATH\n\texec dockerfw apply /etc/dockerfw\nesac\n"
		noHook   = "etc/ufw/after.init=#!/bin/sh\n# exec /usr/local/bin/dockerfw apply /etc/dockerfw\n"

		allRules = "note: at each reload of ufw, MANAGE_BUILTINS=yes in /etc/default/ufw deletes dockerfw's rules and Docker's, until they are loaded again: set MANAGE_BUILTINS=no, or install /etc/ufw/after.init (executable)"
	)
	for _, c := range []struct {
		name  string
		files []string
		mode  os.FileMode // of the hook
		first string      // the network namespace of process 1
		want  string
	}{
		{"no ufw", nil, 0, "net:[1]", ""},
		{"disabled", []string{"etc/ufw/ufw.conf=ENABLED=no\n", builtins}, 0, "net:[1]", ""},
		{"its defaults", []string{enabled, defaults, noBlock}, 0, "net:[1]", ""},
		{"all rules", []string{enabled, builtins}, 0, "net:[1]", allRules},
		{"all rules, quoted", []string{enabled, quoted}, 0, "net:[1]", allRules},
		{"in a network namespace of its own", []string{enabled, builtins}, 0, "net:[2]", ""},
		{"the block", []string{enabled, defaults, block}, 0, "net:[1]", "note: at each reload of ufw, /etc/ufw/after.rules deletes the rules in DOCKER-USER, until they are loaded again: remove the block with DOCKER-USER from /etc/ufw/after.rules, or install"},
		{"both", []string{enabled, builtins, block}, 0, "net:[1]", "note: at each reload of ufw, MANAGE_BUILTINS=yes in /etc/default/ufw deletes dockerfw's rules and Docker's, and /etc/ufw/after.rules deletes the rules in DOCKER-USER, until they are loaded again: set MANAGE_BUILTINS=no and remove the block"},
		{"the hook", []string{enabled, builtins, hook}, 0o750, "net:[1]", "ok: at each reload of ufw, MANAGE_BUILTINS=yes in /etc/default/ufw deletes dockerfw's rules and Docker's; /etc/ufw/after.init loads dockerfw's again"},
		{"the hook, not executable", []string{enabled, builtins, hook}, 0o640, "net:[1]", allRules},
		{"another hook", []string{enabled, builtins, noHook}, 0o750, "net:[1]", allRules},
	} {
		root := t.TempDir()
		for _, f := range c.files {
			name, text, _ := strings.Cut(f, "=")
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			mode := os.FileMode(0o600)
			if name == ufwHook {
				mode = c.mode
			}
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		writeNamespaces(t, root, map[string]string{"self": "net:[1]", "1": c.first})
		got := ""
		for _, f := range UFW(root) {
			got += string(f.Status) + ": " + f.Text
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The hook of the docs is the one that is looked for.
func TestTheHookOfTheDocsLoadsDockerfwsRules(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, hook, found := strings.Cut(string(docs), "# /"+ufwHook)
	hook, _, _ = strings.Cut(hook, "```")
	if !found || !loadsAgain.MatchString(hook) {
		t.Errorf("found: %t\n%s", found, hook)
	}
}
