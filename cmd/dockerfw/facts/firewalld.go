package facts

import (
	"os"
	"path/filepath"
	"strings"
)

// FirewalldName is the name of the fact about firewalld.
const FirewalldName = "firewalld"

// FirewalldTrigger is the unit that loads dockerfw's rules again when firewalld has deleted them:
// docs/operations.md, "firewalld".
const FirewalldTrigger = "dockerfw-firewalld.service"

// Firewalld checks, below a directory ("/" for this host), that a firewalld which runs beside dockerfw
// cannot leave published ports open: a reload of it deletes the rules of all tables. It is a note if
// not: until then the policy holds. Only a firewalld in the network namespace of this process counts.
// It starts no process.
func Firewalld(root string) []Fact {
	if !firewalldRuns(filepath.Join(root, "proc")) {
		return nil
	}
	var missing []string
	if !triggerEnabled(root) {
		missing = append(missing, "the unit "+FirewalldTrigger+" is not enabled, so a reload of firewalld deletes dockerfw's rules until they are loaded again")
	}
	const direct = "etc/firewalld/direct.xml"
	if text, err := os.ReadFile(filepath.Join(root, direct)); err != nil || !strings.Contains(string(text), `table="security" chain="DOCKERFW"`) {
		missing = append(missing, "/"+direct+" has no rules that close containers until dockerfw's are loaded again")
	}
	if len(missing) == 0 {
		return []Fact{New(FirewalldName, OK, "firewalld runs: it loads rules that close containers, and %s loads dockerfw's after each reload", FirewalldTrigger)}
	}
	return []Fact{New(FirewalldName, Note, "firewalld runs, and %s. Install what docs/operations.md, \"firewalld\", shows", strings.Join(missing, "; "))}
}

// firewalldRuns reports whether a process of firewalld is in the network namespace of this one.
func firewalldRuns(proc string) bool {
	own, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return false
	}
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	if err != nil {
		return false
	}
	for _, file := range files {
		name, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(name)) != "firewalld" {
			continue
		}
		if other, err := os.Readlink(filepath.Join(filepath.Dir(file), "ns/net")); err == nil && other == own {
			return true
		}
	}
	return false
}

func triggerEnabled(root string) bool {
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		links, err := filepath.Glob(filepath.Join(root, dir, "*.wants", FirewalldTrigger))
		if err == nil && len(links) > 0 {
			return true
		}
	}
	return false
}
