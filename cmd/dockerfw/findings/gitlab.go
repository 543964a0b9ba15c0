package findings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// An issue of GitLab's code quality report (docs.gitlab.com, "Code Quality report format").
type (
	gitlabIssue struct {
		Description string `json:"description"`
		CheckName   string `json:"check_name"`
		// Fingerprint identifies the issue: GitLab shows those that a merge request adds or fixes.
		Fingerprint string         `json:"fingerprint"`
		Severity    string         `json:"severity"`
		Location    gitlabLocation `json:"location"`
	}
	gitlabLocation struct {
		// Path is relative to the top of the repository.
		Path  string      `json:"path"`
		Lines gitlabLines `json:"lines"`
	}
	gitlabLines struct {
		Begin int `json:"begin"`
		End   int `json:"end"`
	}
)

// gitlabSeverities are the severities of GitLab for levels.
var gitlabSeverities = map[string]string{"error": "major", "warning": "minor", "note": "info"}

// WriteGitLab writes a code quality report, which GitLab shows beside the lines of a merge
// request. A finding without a place is at the first line of the first file, because GitLab
// shows none without.
func WriteGitLab(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) error {
	where := places{sources}
	issues := []gitlabIssue{}
	seen := map[string]int{}
	for _, d := range diags {
		code := diag.InfoOf(d).Code.String()
		issue := gitlabIssue{Description: messageOf(d), CheckName: code, Severity: gitlabSeverities[diag.Level(d)]}
		issue.Location = gitlabLocation{firstSource(sources), gitlabLines{1, 1}}
		if p := subjectOf(where, d); p != nil {
			issue.Location = gitlabLocation{path.Clean(p.File), gitlabLines{p.Line, p.EndLine}}
		}
		// Without the line, which other changes move. Equal ones are numbered.
		identity := fmt.Sprintf("%q %q %q", issue.Location.Path, code, d.Summary)
		seen[identity]++
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", identity, seen[identity]))
		issue.Fingerprint = hex.EncodeToString(sum[:16])
		issues = append(issues, issue)
	}
	return escape.JSON(w, issues)
}

// firstSource is the name of the first file of a policy.
func firstSource(sources map[string][]byte) string {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if _, outside := diag.OutsideName(hcl.Range{Filename: name}); !outside {
			return path.Clean(validName(name))
		}
	}
	return "."
}
