// Package nftpolicy rewrites policies for target nftables, so that tests can compile each policy for
// both targets.
package nftpolicy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	hostBlock = regexp.MustCompile(`(?m)^host [^{]*\{\n`)
	// withoutCounterpart are the target, and the attributes that a host with target nftables does not take.
	withoutCounterpart = regexp.MustCompile(`(?m)^\s*(target|chain|install|verdict|hashsize|timeout|counters|comment)\s*=.*\n`)
)

// Text returns a policy with target nftables on all hosts, without the attributes that have no
// counterpart there.
func Text(policy string) string {
	return hostBlock.ReplaceAllString(withoutCounterpart.ReplaceAllString(policy, ""), "${0}  target = \"nftables\"\n")
}

// Copy copies the directory of a policy in which all hosts get target nftables.
func Copy(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o777)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		policy := string(text)
		switch {
		case strings.HasSuffix(path, ".hcl"):
			policy = Text(policy)
		case strings.HasSuffix(path, ".hcl.json"):
			policy = strings.Replace(policy, `"host": {`, `"host": { "target": "nftables",`, 1)
		}
		return os.WriteFile(filepath.Join(to, rel), []byte(policy), 0o666)
	})
}
