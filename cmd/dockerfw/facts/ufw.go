package facts

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// UFWName is the name of the fact about ufw.
const UFWName = "ufw"

const (
	ufwBuiltins = "etc/default/ufw"
	ufwRules    = "etc/ufw/after.rules"
	ufwHook     = "etc/ufw/after.init"
)

// emptiesDockerUser is the declaration of the chain in ufw's rules, as ufw-docker writes it: it deletes
// the rules of the chain.
var emptiesDockerUser = regexp.MustCompile(`(?m)^[ \t]*:DOCKER-USER[ \t]`)

// loadsAgain is a line of the hook that loads dockerfw's rules.
var loadsAgain = regexp.MustCompile(`(?m)^[^#\n]*\bdockerfw[ \t]+apply\b`)

// UFW checks, below a directory ("/" for this host), that an enabled ufw which deletes dockerfw's
// rules has the hook that loads them again: docs/operations.md, "ufw". It is a note if not: until then
// the policy holds. The files of ufw are about the network namespace of process 1: in another one they
// do not count. It starts no process.
func UFW(root string) []Fact {
	if !hostNamespace(filepath.Join(root, "proc")) || !strings.EqualFold(ufwSetting(root, "ENABLED"), "yes") {
		return nil
	}
	var deletes, instead []string
	if ufwSetting(root, "MANAGE_BUILTINS") == "yes" {
		deletes = append(deletes, "MANAGE_BUILTINS=yes in /"+ufwBuiltins+" deletes dockerfw's rules and Docker's")
		instead = append(instead, "set MANAGE_BUILTINS=no")
	}
	if text, err := os.ReadFile(filepath.Join(root, ufwRules)); err == nil && emptiesDockerUser.Match(text) {
		deletes = append(deletes, "/"+ufwRules+" deletes the rules in DOCKER-USER")
		instead = append(instead, "remove the block with DOCKER-USER from /"+ufwRules)
	}
	if len(deletes) == 0 {
		return nil
	}
	what := strings.Join(deletes, ", and ")
	if ufwLoadsAgain(root) {
		return []Fact{New(UFWName, OK, "at each reload of ufw, %s; /%s loads dockerfw's again", what, ufwHook)}
	}
	return []Fact{New(UFWName, Note, "at each reload of ufw, %s, until they are loaded again: %s, or install /%s (executable) as docs/operations.md, \"ufw\", shows", what, strings.Join(instead, " and "), ufwHook)}
}

// ufwLoadsAgain reports whether ufw runs the hook, which it does if that is executable, and the hook
// loads dockerfw's rules.
func ufwLoadsAgain(root string) bool {
	path := filepath.Join(root, ufwHook)
	info, err := os.Stat(path)
	if err != nil || info.Mode()&0o111 == 0 {
		return false
	}
	text, err := os.ReadFile(path)
	return err == nil && loadsAgain.Match(text)
}

// ufwSetting is the value of a setting, "" if it has none: of two lines the later one counts. ufw's
// scripts are shell scripts that source both files.
func ufwSetting(root, name string) string {
	assignment := regexp.MustCompile(`(?m)^[ \t]*` + name + `=["']?([^"'\s#;]*)`)
	value := ""
	for _, file := range []string{ufwBuiltins, "etc/ufw/ufw.conf"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		if all := assignment.FindAllSubmatch(text, -1); len(all) > 0 {
			value = string(all[len(all)-1][1])
		}
	}
	return value
}

// hostNamespace reports whether this process is in the network namespace of process 1.
func hostNamespace(proc string) bool {
	own, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return false
	}
	first, err := os.Readlink(filepath.Join(proc, "1/ns/net"))
	return err == nil && first == own
}
