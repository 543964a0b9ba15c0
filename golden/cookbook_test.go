package golden

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const cookbookDoc = "../docs/cookbook.md"

// scenario is a section of the cookbook: a question, and the policy that answers it.
type scenario struct {
	title    string
	policies []string
	files    map[string]string // list files that the policy reads
	options  []string          // other values of variables, from the commands of the section
}

var (
	listFile    = regexp.MustCompile(`^# (lists/\S+)\n`)
	variableSet = regexp.MustCompile(`-var \S+`)
	linkTarget  = regexp.MustCompile(`\]\(#([^)]+)\)`)
)

func scenarios(t *testing.T) []scenario {
	t.Helper()
	var out []scenario
	blocks := fences(t, cookbookDoc)
	inBlock := false
	for i, line := range strings.Split(readDoc(t, cookbookDoc), "\n") {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		}
		if title, ok := strings.CutPrefix(line, "## "); ok && !inBlock {
			out = append(out, scenario{title: title, files: map[string]string{}})
		}
		if len(blocks) > 0 && blocks[0].line == i+2 {
			out[len(out)-1].add(blocks[0])
			blocks = blocks[1:]
		}
	}
	return out
}

func (s *scenario) add(f fence) {
	switch f.language {
	case "hcl":
		s.policies = append(s.policies, f.text)
	case "sh":
		s.options = append(s.options, variableSet.FindAllString(f.text, -1)...)
	case "text":
		if m := listFile.FindStringSubmatch(f.text); m != nil {
			s.files[m[1]] = f.text
		}
	}
}

// Each scenario has one policy in the canonical style that compiles without a warning as it
// is, and whose tests pass, also with the variables that the section sets.
func TestPoliciesOfTheCookbookCompileAndPassTheirTests(t *testing.T) {
	bin := builtProgram(t)
	all := scenarios(t)
	if len(all) < 20 {
		t.Errorf("only %d scenarios in the cookbook", len(all))
	}
	for _, s := range all {
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			if len(s.policies) != 1 {
				t.Fatalf("%d policies, want one", len(s.policies))
			}
			dir := t.TempDir()
			s.files["policy.hcl"] = s.policies[0]
			// Scenarios about other blocks do not repeat the input block that check asks for.
			s.files["closed.hcl"] = s.policies[0]
			if !strings.Contains(s.policies[0], "\ninput {") {
				s.files["closed.hcl"] += "\ninput {\n  default {\n    action = \"return\"\n  }\n}\n"
			}
			writeFiles(t, dir, s.files)
			commands := []string{"dockerfw fmt --check policy.hcl"}
			for _, options := range append([]string{""}, s.options...) {
				commands = append(commands,
					"dockerfw check --strict closed.hcl "+options,
					"dockerfw test policy.hcl "+options)
			}
			for _, command := range commands {
				if !strings.Contains(command, " fmt ") {
					command += " --now " + docsNow.Format("2006-01-02")
				}
				if out, code := runShell(t, dir, command, docsEnvironment(bin, dir)); code != 0 {
					t.Errorf("%s: exit code %d\n%s", command, code, out)
				}
			}
			if !strings.Contains(s.policies[0], "\ntest \"") {
				t.Error("the policy has no test block")
			}
		})
	}
}

func TestContentsOfTheCookbookListAllScenarios(t *testing.T) {
	contents, _, _ := strings.Cut(readDoc(t, cookbookDoc), "\n## ")
	var want, got []string
	for _, s := range scenarios(t) {
		want = append(want, anchor(s.title))
	}
	for _, m := range linkTarget.FindAllStringSubmatch(contents, -1) {
		got = append(got, m[1])
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("the contents link to\n%s\nand the scenarios are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// anchor is the name of a heading in links, as code hosts make it.
func anchor(heading string) string {
	heading = regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(heading, " ", "-")
}
