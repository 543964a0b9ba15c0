package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// event is a line of go test -json, as cmd/test2json describes it.
type event struct {
	Action, Package, Test, Output, Key, Value string
}

// column is an engine on a backend.
type column struct {
	suite, engine, backend, iptables, ipset string
}

// cell is the result of a test in a column, over all of its subtests there.
type cell struct {
	failed bool
	ran    bool
	notes  []string // reasons of skipped subtests, and notes of tests
}

// matrix is the results of the runs that main.go starts.
type matrix struct {
	tests   []string // in the order they first ran
	columns []column
	cells   map[string]map[column]*cell
}

// testRun is one test or subtest.
type testRun struct {
	attributes map[string]string
	notes      []string
	output     []string
	result     string // pass, fail, skip; empty if the run ended before it
}

// add reads the output of a run. A test belongs to the engine in its attributes; tests
// without an engine are ignored.
func (m *matrix) add(suite string, output []byte) error {
	runs := map[string]*testRun{}
	var order []string
	input := json.NewDecoder(bytes.NewReader(output))
	for {
		var e event
		if err := input.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("go test -json: %w", err)
		}
		if e.Test == "" {
			continue
		}
		run := runs[e.Test]
		if run == nil {
			run = &testRun{attributes: map[string]string{}}
			runs[e.Test] = run
			order = append(order, e.Test)
		}
		switch e.Action {
		case "attr":
			if e.Key == "note" {
				run.notes = append(run.notes, e.Value)
			} else {
				run.attributes[e.Key] = e.Value
			}
		case "output":
			run.output = append(run.output, e.Output)
		case "pass", "fail", "skip":
			run.result = e.Action
		}
	}

	// In the order of the top tests, because subtests run in parallel.
	top := func(name string) int {
		test, _, _ := strings.Cut(name, "/")
		return slices.Index(order, test)
	}
	byTop := slices.Clone(order)
	slices.SortStableFunc(byTop, func(a, b string) int { return top(a) - top(b) })
	found := false
	for _, name := range byTop {
		run := runs[name]
		test, _, _ := strings.Cut(name, "/")
		if run.attributes["engine"] == "" {
			continue
		}
		found = true
		a := run.attributes
		cell := m.cell(test, column{suite, a["engine"], a["backend"], a["iptables"], a["ipset"]})
		switch run.result {
		case "pass":
			cell.ran = true
			cell.notes = append(cell.notes, run.notes...)
		case "skip":
			cell.notes = append(cell.notes, skipReason(run.output))
		default:
			cell.failed = true
			fmt.Fprintf(os.Stderr, "%s: %s\n%s", suite, name, strings.Join(run.output, ""))
		}
	}
	if !found {
		return fmt.Errorf("no test has an engine attribute:\n%s", output[max(0, len(output)-2000):])
	}
	// A test may fail after its subtests have passed.
	for test, cells := range m.cells {
		run := runs[test]
		failedBelow := slices.ContainsFunc(order, func(name string) bool {
			return strings.HasPrefix(name, test+"/") && runs[name].result == "fail"
		})
		if run != nil && run.result != "pass" && run.result != "skip" && !failedBelow {
			fmt.Fprintf(os.Stderr, "%s: %s\n%s", suite, test, strings.Join(run.output, ""))
			for column, cell := range cells {
				cell.failed = cell.failed || column.suite == suite
			}
		}
	}
	return nil
}

func (m *matrix) cell(test string, at column) *cell {
	if !slices.Contains(m.columns, at) {
		m.columns = append(m.columns, at)
	}
	if m.cells == nil {
		m.cells = map[string]map[column]*cell{}
	}
	if m.cells[test] == nil {
		m.cells[test] = map[column]*cell{}
		m.tests = append(m.tests, test)
	}
	if m.cells[test][at] == nil {
		m.cells[test][at] = &cell{}
	}
	return m.cells[test][at]
}

var logLine = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)`)

func skipReason(output []string) string {
	for _, line := range slices.Backward(output) {
		if match := logLine.FindStringSubmatch(line); match != nil {
			return match[1]
		}
	}
	return "the test gives no reason"
}

// markdown returns the versions, the results, and the notes below them.
func (m *matrix) markdown(kernel string) string {
	columns := slices.Clone(m.columns)
	// nft before legacy, in the order of the releases.
	place := func(c column) int {
		return slices.IndexFunc(releases, func(r release) bool { return r.suite == c.suite })
	}
	slices.SortStableFunc(columns, func(a, b column) int {
		if by := place(a) - place(b); by != 0 {
			return by
		}
		return strings.Compare(b.backend, a.backend)
	})

	var out strings.Builder
	fmt.Fprintf(&out, "Linux %s.\n\n| Debian | engine | iptables | ipset |\n|---|---|---|---|\n", kernel)
	var versions []string
	for _, c := range columns {
		row := fmt.Sprintf("| %s | %s | %s | %s |\n", c.suite, c.engine, c.iptables, c.ipset)
		if !slices.Contains(versions, row) {
			versions = append(versions, row)
		}
	}
	out.WriteString(strings.Join(versions, "") + "\n| test |")
	for _, c := range columns {
		fmt.Fprintf(&out, " %s %s |", c.engine, c.backend)
	}
	fmt.Fprintf(&out, "\n|---|%s\n", strings.Repeat("---|", len(columns)))

	var notes []string
	for _, test := range m.tests {
		fmt.Fprintf(&out, "| %s |", sentence(test))
		for _, c := range columns {
			text, marks := "not run", ""
			if cell := m.cells[test][c]; cell != nil {
				text = cell.text()
				for _, note := range slices.Compact(slices.Sorted(slices.Values(cell.notes))) {
					if !slices.Contains(notes, note) {
						notes = append(notes, note)
					}
					marks += fmt.Sprintf(" (%d)", slices.Index(notes, note)+1)
				}
			}
			fmt.Fprintf(&out, " %s%s |", text, marks)
		}
		out.WriteString("\n")
	}
	for i, note := range notes {
		fmt.Fprintf(&out, "\n(%d) %s.\n", i+1, strings.TrimSuffix(note, "."))
	}
	return out.String()
}

func (c *cell) text() string {
	switch {
	case c.failed:
		return "**fails**"
	case c.ran:
		return "passes"
	}
	return "not applicable"
}

// sentence returns the name of a test as a sentence: "A deny overrides every accept" for
// TestADenyOverridesEveryAccept.
func sentence(test string) string {
	letters := []rune(strings.TrimPrefix(test, "Test"))
	var words []string
	start := 0
	for i := 1; i <= len(letters); i++ {
		if i < len(letters) {
			next := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if !unicode.IsUpper(letters[i]) || !next && unicode.IsUpper(letters[i-1]) {
				continue
			}
		}
		word := string(letters[start:i])
		if i-start == 1 || strings.ToUpper(word) != word {
			word = strings.ToLower(word)
		}
		words = append(words, word)
		start = i
	}
	text := strings.Join(words, " ")
	text = strings.NewReplacer("i pv4", "IPv4", "i pv6", "IPv6", "docker user", "DOCKER-USER", "docker proxy", "docker-proxy").Replace(text)
	return strings.ToUpper(text[:1]) + text[1:]
}

// marker is the line after the text that people write.
const marker = "<!-- The text below is generated by make e2e-matrix. -->\n"

func replaceAfterMarker(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, _, found := strings.Cut(string(old), marker)
	if !found {
		return fmt.Errorf("%s has no line %s", file, strings.TrimSpace(marker))
	}
	return os.WriteFile(file, []byte(before+marker+"\n"+text), 0o644)
}
