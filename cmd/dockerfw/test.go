package main

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func testCommand() *cobra.Command {
	var flags policyFlags
	format := "text"
	cmd := &cobra.Command{
		Use:   "test POLICY",
		Short: "Run the test blocks of a policy",
		Long: `test compiles a policy, runs its test blocks, and writes nothing.
The exit code is 1 if a test does not hold, and 2 if the policy has errors.`,
		Example: `  dockerfw test policy.hcl
  dockerfw test policy.hcl --format junit > report.xml     # in CI`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			report, ok := map[string]func(io.Writer, []policytest.Result) error{
				"text": testText, "json": testJSON, "junit": testJUnit,
			}[format]
			if !ok {
				return usageError(cmd, fmt.Sprintf("unknown format %q: text, json or junit", format))
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			stderr := cmd.ErrOrStderr()
			result, diags := driver.Policy(args[0], opts)
			if n := printDiagnostics(stderr, diags, result.Sources); n > 0 {
				escape.Fprintf(stderr, "%s; no test was run.\n", words.Count(n, "error"))
				return exitError(exitTrouble)
			}
			results := result.Test()
			if err := report(cmd.OutOrStdout(), results); err != nil {
				return err
			}
			if failures(results) > 0 {
				return exitError(exitNo)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, "how to report: text, json or junit")
	return cmd
}

func failures(results []policytest.Result) int {
	n := 0
	for _, r := range results {
		if !r.Passed() {
			n++
		}
	}
	return n
}

// testName is a test's name, with its host in a fleet.
func testName(r policytest.Result) string {
	if r.Host != "" {
		return r.Host + ": " + r.Test.Name.Value
	}
	return r.Test.Name.Value
}

func place(r policytest.Result) string {
	return fmt.Sprintf("%s:%d:%d", r.Test.DeclRange.Filename, r.Test.DeclRange.Start.Line, r.Test.DeclRange.Start.Column)
}

// mismatch says what was expected and what came.
func mismatch(r policytest.Result) string {
	expected, got := verdictText(r.Test.Expect, r.Test.Proxy), verdictText(r.Got, r.Test.Proxy)
	if r.Test.By != "" {
		expected += " by " + r.Test.By
	}
	if r.By != "" {
		got += " by " + r.By
	} else {
		got += ": no rule of the policy matches"
	}
	return fmt.Sprintf("expected: %s; got: %s", expected, got)
}

// verdictText is what becomes of a packet, in words.
func verdictText(x parser.Expectation, proxy bool) string {
	switch x {
	case parser.ExpectAccept:
		return "accepted"
	case parser.ExpectDrop:
		return "dropped"
	case parser.ExpectReject:
		return "rejected"
	case parser.ExpectDocker:
		if proxy {
			return "left to the host's own rules of INPUT"
		}
		return "left to Docker's own rules"
	}
	return string(x)
}

func testText(w io.Writer, results []policytest.Result) error {
	for _, r := range results {
		if r.Passed() {
			escape.Fprintf(w, "ok    %s\n", testName(r))
			continue
		}
		escape.Fprintf(w, "FAIL  %s\n      %s: %s\n      %s\n", testName(r), place(r), mismatch(r), r.Packet)
		for _, a := range r.Assumed {
			escape.Fprintf(w, "        assumed: %s\n", a)
		}
	}
	bad := failures(results)
	return escape.Fprintf(w, "%s: %d passed, %d failed\n", words.Count(len(results), "test"), len(results)-bad, bad)
}

type testRecord struct {
	Name   string `json:"name"`
	Host   string `json:"host,omitempty"`
	Place  string `json:"place"`
	Passed bool   `json:"passed"`
	Want   string `json:"want"`
	WantBy string `json:"want_by,omitempty"`
	Got    string `json:"got"`
	GotBy  string `json:"got_by,omitempty"`
	Packet string `json:"packet"`
	// Assumed is what of the packet the test does not say.
	Assumed []string `json:"assumed"`
}

func testJSON(w io.Writer, results []policytest.Result) error {
	records := []testRecord{}
	for _, r := range results {
		records = append(records, testRecord{
			r.Test.Name.Value, r.Host, place(r), r.Passed(),
			string(r.Test.Expect), r.Test.By, string(r.Got), r.By, r.Packet.String(), append([]string{}, r.Assumed...),
		})
	}
	return escape.JSON(w, records)
}

type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   escape.Safe   `xml:"classname,attr"`
		Name    escape.Safe   `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message escape.Safe `xml:"message,attr"`
		Text    escape.Safe `xml:",chardata"`
	}
)

func testJUnit(w io.Writer, results []policytest.Result) error {
	suite := junitSuite{Name: "dockerfw", Tests: len(results), Failures: failures(results)}
	for _, r := range results {
		c := junitCase{Class: escape.Terminal(r.Test.DeclRange.Filename), Name: escape.Terminal(testName(r))}
		if !r.Passed() {
			c.Failure = &junitFailure{escape.Terminal(mismatch(r)), escape.Sprintf("%s: %s", place(r), r.Packet)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append([]byte(xml.Header), append(text, '\n')...))
	return err
}
