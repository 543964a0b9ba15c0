package revision

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// revisionWithPath is REV:PATH; in :/TEXT and ^{/TEXT} a colon is part of the text.
var revisionWithPath = regexp.MustCompile(`^[^:{]+:`)

// explainNoWorkTree is the error of a directory that is not in a work tree.
func explainNoWorkTree(dir string, err error) error {
	switch {
	case failed(err, "not a git repository"):
		hint := ""
		if failed(err, "GIT_DISCOVERY_ACROSS_FILESYSTEM") {
			hint = " up to the mount point (to look above it, set GIT_DISCOVERY_ACROSS_FILESYSTEM=1)"
		}
		return fmt.Errorf("%s is not in a git repository%s. Compare two paths instead: dockerfw diff OLD NEW", dir, hint)
	case failed(err, "must be run in a work tree"):
		return fmt.Errorf("%s is in a bare repository or in .git, where no files are checked out: run this in a work tree (git worktree add ../tree)", dir)
	}
	return err
}

func notOne(revision string) error {
	return fmt.Errorf("%q is not one revision: write a branch, a tag or a commit, such as origin/main or HEAD~1", revision)
}

// explainNoRevision is the error of a revision that does not exist, with advice.
func explainNoRevision(dir, revision string, err error) error {
	if failed(err, "dubious ownership") {
		return err
	}
	if strings.Contains(revision, "..") || revisionWithPath.MatchString(revision) {
		return notOne(revision)
	}
	refs := lines(dir, "for-each-ref", "--format=%(refname:short)")
	_, _, headErr := output(dir, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if headErr != nil && len(refs) == 0 {
		return fmt.Errorf("the repository of %s has no commit yet, so there is no earlier version to compare with", dir)
	}
	// The name without suffixes: main in main~2, HEAD in HEAD^.
	name := revision
	if i := strings.IndexAny(revision, "~^@:"); i > 0 {
		name = revision[:i]
	}
	why := fmt.Sprintf("revision %s does not exist in the repository of %s", revision, dir)
	known := false
	if name != revision {
		_, _, err := output(dir, "rev-parse", "--verify", "--quiet", name+"^{commit}")
		known = err == nil
	}
	if known {
		why = fmt.Sprintf("%s exists in the repository of %s, but %s does not", name, dir, revision)
	}
	if shallow, _, err := output(dir, "rev-parse", "--is-shallow-repository"); err == nil && shallow == "true" {
		return fmt.Errorf("%s. This is a shallow clone, which lacks older commits. Run: git fetch --unshallow%s (in GitHub Actions set fetch-depth: 0 for actions/checkout, in GitLab CI GIT_DEPTH: 0)", why, fetch(dir, name, " && "))
	}
	if known {
		return fmt.Errorf("%s. To list what exists, run: git log %s", why, name)
	}
	if near := suggest.Nearest(name, append(refs, "HEAD", "FETCH_HEAD")); len(near) > 0 {
		return fmt.Errorf("%s. Did you mean %q?", why, near[0]+strings.TrimPrefix(revision, name))
	}
	if get := fetch(dir, name, ". Run: "); get != "" {
		return fmt.Errorf("%s%s", why, get)
	}
	return fmt.Errorf("%s. To list what exists, run: git branch --all; git tag", why)
}

// fetch is the command that fetches a branch of a remote, after some text; "" if the revision
// does not have the name of one.
func fetch(dir, name, before string) string {
	for _, remote := range lines(dir, "remote") {
		if branch, ok := strings.CutPrefix(name, remote+"/"); ok && branch != "" {
			return before + fmt.Sprintf("git fetch %s %s", shell.Word(remote), shell.Word(fmt.Sprintf("+refs/heads/%s:refs/remotes/%s/%[1]s", branch, remote)))
		}
	}
	return ""
}

func lines(dir string, args ...string) []string {
	text, _, err := output(dir, args...)
	if err != nil || text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
