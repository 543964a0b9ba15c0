package golden

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// ciFile is a file of examples/ci: what its commands are run with, and the commands.
type ciFile struct {
	Inputs map[string]struct{ Default string }
	Runs   struct{ Steps []ciStep }
	Jobs   map[string]struct {
		Env   map[string]string
		Steps []ciStep
	}
	Dockerfw struct {
		Variables map[string]string
		Script    []string
		Artifacts struct{ Reports map[string]string }
	}
	Repos []struct {
		Hooks []struct{ ID, Entry, Language string }
	}
}

type ciStep struct {
	Name, Uses, Run string
	Env             map[string]string
}

func readCI(t *testing.T, name string) ciFile {
	t.Helper()
	var out ciFile
	if err := yaml.Unmarshal([]byte(readDoc(t, filepath.Join(examplesDir, "ci", name))), &out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

const ciPolicy = `host {
  external_interfaces = ["eth0"]
}

accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}

test "everyone reaches https" {
  from    = "198.51.100.9"
  to_port = 443
  expect  = "accept"
}
`

// ciStub stands for gh and curl: it lists its arguments, and answers with the comment that is there.
const ciStub = `#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$*" in
*PATCH*|*POST*|*PUT*) ;;
*--jq*) cat "$COMMENTS" | jq -r "$(for a; do [ "$last" = --jq ] && echo "$a"; last=$a; done)" ;;
*) cat "$COMMENTS" ;;
esac
`

// ciRun is a repository in which commands of CI systems run: a policy with its compiled folder, and
// one commit more that opens a port.
type ciRun struct {
	dir string
	env []string
	// github are the values of expressions.
	github map[string]string
}

func newCI(t *testing.T, bin string) *ciRun {
	t.Helper()
	for _, tool := range []string{"git", "jq", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.SkipOrFail(t, tool+" is not installed")
		}
	}
	home := t.TempDir()
	r := &ciRun{dir: filepath.Join(home, "repo")}
	writeFiles(t, home, map[string]string{
		"repo/policy.hcl": ciPolicy, "repo/.gitignore": "dockerfw*\n*.json\n",
		".gitconfig": "[user]\n  name = Ann\n  email = ann@example.org\n[init]\n  defaultBranch = main\n",
		"stubs/gh":   ciStub, "stubs/curl": ciStub, "comments": "[]", "temporary/x": "", "calls": "",
	})
	for _, stub := range []string{"gh", "curl"} {
		if err := os.Chmod(filepath.Join(home, "stubs", stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(docsEnvironment(filepath.Join(home, "stubs")+":"+bin, home), "CALLS="+filepath.Join(home, "calls"), "COMMENTS="+filepath.Join(home, "comments"),
		"RUNNER_TEMP="+filepath.Join(home, "temporary"), "GITHUB_STEP_SUMMARY="+filepath.Join(home, "summary"), "GITHUB_REPOSITORY=org/repo",
		"GITHUB_SERVER_URL=https://git.example.org", "CI_API_V4_URL=https://git.example.org/api/v4", "CI_PROJECT_ID=3", "CI_MERGE_REQUEST_IID=7", "DOCKERFW_TOKEN=secret")
	r.run(t, 0, "git init -q && dockerfw compile -q policy.hcl -o compiled && git add -A -f . && git commit -q -m one")
	base, _ := runShell(t, r.dir, "git rev-parse HEAD", r.env)
	writeFiles(t, r.dir, map[string]string{"policy.hcl": strings.Replace(ciPolicy, "[443]", "[443, 8443]", 1)})
	r.run(t, 0, "dockerfw compile -q policy.hcl -o compiled && git commit -q -a -m two")
	r.env = append(r.env, "CI_MERGE_REQUEST_DIFF_BASE_SHA="+strings.TrimSpace(base))
	r.github = map[string]string{
		"github.event.pull_request.base.sha": strings.TrimSpace(base), "github.event.pull_request.number": "7", "github.token": "secret",
	}
	return r
}

// run runs a script as the systems do: any command that fails ends it.
func (r *ciRun) run(t *testing.T, want int, script string, env ...string) string {
	t.Helper()
	file := filepath.Join(filepath.Dir(r.dir), "script")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	text, code := runShell(t, r.dir, "bash -e -o pipefail "+file, append(slices.Clone(r.env), env...))
	if code != want {
		t.Fatalf("exit code %d, not %d:\n%s\n%s", code, want, script, text)
	}
	return text
}

func (r *ciRun) file(t *testing.T, name string) string {
	t.Helper()
	return readDoc(t, filepath.Join(filepath.Dir(r.dir), name))
}

var expression = regexp.MustCompile(`\$\{\{ *([\w.-]+) *\}\}`)

// environment are variables with the values of the expressions in them.
func (r *ciRun) environment(t *testing.T, env map[string]string, inputs map[string]string) []string {
	t.Helper()
	var out []string
	for name, value := range env {
		for range 2 { // an input may have an expression
			value = expression.ReplaceAllStringFunc(value, func(s string) string {
				name := expression.FindStringSubmatch(s)[1]
				if v, ok := inputs[strings.TrimPrefix(name, "inputs.")]; ok {
					return v
				}
				v, ok := r.github[name]
				if !ok {
					t.Errorf("the value of %s is not known", s)
				}
				return v
			})
		}
		out = append(out, name+"="+value)
	}
	return out
}

// steps runs the steps of a workflow that call the program, and returns how many they are.
func (r *ciRun) steps(t *testing.T, steps []ciStep, env, inputs map[string]string) int {
	t.Helper()
	n := 0
	for _, s := range steps {
		if strings.Contains(s.Run, "go install") {
			continue
		}
		if s.Run != "" {
			n++
			r.run(t, 0, s.Run, append(r.environment(t, env, inputs), r.environment(t, s.Env, inputs)...)...)
		}
	}
	return n
}

// commented checks that the first run makes a comment, and a second one updates it.
func (r *ciRun) commented(t *testing.T, update string, again func()) {
	t.Helper()
	if calls := r.file(t, "calls"); !strings.Contains(calls, "POST") || strings.Contains(calls, update) {
		t.Errorf("the first run calls\n%s", calls)
	}
	comments := `[{"id": 1, "body": "Nice", "user": {"type": "User"}}, {"id": 42, "body": "<!-- dockerfw diff -->\n", "user": {"type": "Bot"}}]`
	writeFiles(t, filepath.Dir(r.dir), map[string]string{"comments": comments, "calls": ""})
	again()
	if calls := r.file(t, "calls"); strings.Contains(calls, "POST") || !strings.Contains(calls, update) || !strings.Contains(calls, "/42") {
		t.Errorf("the second run calls\n%s", calls)
	}
}

// The commands of examples/ci run in a repository with a change that opens a port.
func TestCommandsOfTheCIExamplesRun(t *testing.T) {
	bin := builtProgram(t)
	t.Run("GitHub", func(t *testing.T) {
		r, action := newCI(t, bin), readCI(t, "github/action.yml")
		inputs := map[string]string{}
		for name, in := range action.Inputs {
			inputs[name] = in.Default
		}
		all := func() {
			if n := r.steps(t, action.Runs.Steps, nil, inputs); n != 5 {
				t.Errorf("%d steps", n)
			}
		}
		all()
		r.commented(t, "PATCH", all)
		if !json.Valid([]byte(readDoc(t, filepath.Join(r.dir, "dockerfw.sarif")))) {
			t.Error("dockerfw.sarif is not JSON")
		}
		if summary := r.file(t, "summary"); !strings.Contains(summary, "newly allowed") {
			t.Errorf("the summary is\n%s", summary)
		}
		// An error in the policy fails the first step, and its finding is there to be shown.
		writeFiles(t, r.dir, map[string]string{"policy.hcl": "bogus {}\n"})
		r.run(t, 1, action.Runs.Steps[0].Run, r.environment(t, action.Runs.Steps[0].Env, inputs)...)
		if sarif := readDoc(t, filepath.Join(r.dir, "dockerfw.sarif")); !strings.Contains(sarif, "policy.hcl") {
			t.Errorf("the findings are\n%s", sarif)
		}
		for _, step := range readCI(t, "github/workflow.yml").Jobs["policy"].Steps {
			if path, local := strings.CutPrefix(step.Uses, "./.github/actions/"); local && path != "dockerfw" {
				t.Errorf("the workflow uses %s", step.Uses)
			}
		}
	})
	t.Run("GitLab", func(t *testing.T) {
		r, job := newCI(t, bin), readCI(t, "gitlab/gitlab-ci.yml").Dockerfw
		all := func() { r.run(t, 0, strings.Join(job.Script, "\n"), r.environment(t, job.Variables, nil)...) }
		all()
		r.commented(t, "PUT", all)
		for _, report := range job.Artifacts.Reports {
			if _, err := os.Stat(filepath.Join(r.dir, report)); err != nil {
				t.Error(err)
			}
		}
		var issues []struct{ Fingerprint string }
		if err := json.Unmarshal([]byte(readDoc(t, filepath.Join(r.dir, job.Artifacts.Reports["codequality"]))), &issues); err != nil || len(issues) == 0 {
			t.Errorf("%v, %v", issues, err)
		}
		// A folder that is out of date fails the job after all reports were written.
		writeFiles(t, r.dir, map[string]string{"policy.hcl": ciPolicy, "compiled/iptables.restore": "x\n"})
		r.run(t, 1, strings.Join(job.Script, "\n"), r.environment(t, job.Variables, nil)...)
	})
	t.Run("Forgejo", func(t *testing.T) {
		r, job := newCI(t, bin), readCI(t, "forgejo/workflow.yml").Jobs["policy"]
		all := func() {
			if n := r.steps(t, job.Steps, job.Env, nil); n != 4 {
				t.Errorf("%d steps", n)
			}
		}
		all()
		r.commented(t, "PATCH", all)
	})
	t.Run("pre-commit", func(t *testing.T) {
		r, n := newCI(t, bin), 0
		for _, repo := range readCI(t, "pre-commit/pre-commit-config.yaml").Repos {
			for _, hook := range repo.Hooks {
				n++
				entry := hook.Entry
				if strings.HasSuffix(entry, "fmt --check") {
					entry += " policy.hcl" // pre-commit adds the names of the files
				}
				r.run(t, 0, entry)
				if hook.Language != "system" {
					t.Errorf("%s is not a program of the system", hook.ID)
				}
			}
		}
		if n != 4 {
			t.Errorf("%d hooks", n)
		}
	})
	t.Run("a shallow clone", func(t *testing.T) {
		r := newCI(t, bin)
		r.run(t, 0, "git clone -q --depth 1 file://"+r.dir+" ../shallow")
		text := r.run(t, 2, "cd ../shallow && dockerfw diff --base "+r.github["github.event.pull_request.base.sha"]+" policy.hcl --format markdown")
		if !strings.Contains(text, "fetch-depth: 0") {
			t.Errorf("%s", text)
		}
	})
}
