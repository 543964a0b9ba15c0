// Package testreport writes the results of test blocks.
//
// In: results of package policytest. Out: text for people, JSON, or the XML format of JUnit,
// which CI systems display. It evaluates nothing.
package testreport

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// nameOf is the name of the test, with its host in a fleet.
func nameOf(r policytest.Result) string {
	if r.Host != "" {
		return r.Host + ": " + r.Test.Name.Value
	}
	return r.Test.Name.Value
}

// placeOf is the position of the test block.
func placeOf(r policytest.Result) string {
	return fmt.Sprintf("%s:%d:%d", r.Test.DeclRange.Filename, r.Test.DeclRange.Start.Line, r.Test.DeclRange.Start.Column)
}

// mismatch is what was expected, and what the packet got.
func mismatch(r policytest.Result) string {
	expected, got := verdictText(r.Test.Expect, r.Test.Proxy || r.Test.ToHost), verdictText(r.Got, r.ToProxy || r.Test.ToHost)
	if r.Got == "" {
		return "expected: " + expected + "; got: nothing: from_not excludes all clients of from, or they are of a family that is not compiled"
	}
	if r.Test.By != "" {
		expected += " by " + r.Test.By
	}
	if r.By != "" {
		got += " by " + r.By
	} else {
		got += " (no rule of the policy matched)"
	}
	return fmt.Sprintf("expected: %s; got: %s", expected, got)
}

// verdictText is an expectation in words.
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
			return "left to the host's other INPUT rules"
		}
		return "left to Docker's own rules"
	}
	return string(x)
}

// Report is what a run of tests found. Coverage is nil if it was not asked for.
type Report struct {
	Results  []policytest.Result
	Coverage *policytest.Coverage
}

// WriteText writes a line for each test; for one that failed what was expected, what the
// packet got, and the packet. Then it writes the rules that no test decides.
func WriteText(w io.Writer, report Report) error {
	results := report.Results
	for _, r := range results {
		if r.Passed() {
			escape.Fprintf(w, "ok    %s\n", nameOf(r))
			continue
		}
		escape.Fprintf(w, "FAIL  %s\n      %s: %s\n", nameOf(r), placeOf(r), mismatch(r))
		if r.Got != "" {
			escape.Fprintf(w, "      %s%s\n", counterexample(r), r.Packet)
		}
		for _, a := range r.Assumed {
			escape.Fprintf(w, "        assumed: %s\n", a)
		}
	}
	if c := report.Coverage; c != nil {
		for _, r := range c.Untested {
			escape.Fprintf(w, "no test decides by %s (%s)\n", ruleName(r), rulePlace(r))
		}
		escape.Fprintf(w, "coverage: %d of %s (%d%%)\n", c.Rules-len(c.Untested), words.Count(c.Rules, "rule"), c.Percent())
	}
	failed := policytest.Failed(results)
	return escape.Fprintf(w, "%s: %d passed, %d failed\n", words.Count(len(results), "test"), len(results)-failed, failed)
}

// counterexample introduces the packet of a test about several clients.
func counterexample(r policytest.Result) string {
	switch {
	case r.Test.Clients == nil:
		return ""
	case r.ToProxy:
		return "counterexample, to docker-proxy: "
	}
	return "counterexample: "
}

func ruleName(r *parser.Rule) string { return fmt.Sprintf("%s %q", r.Kind, r.Name.Value) }

func rulePlace(r *parser.Rule) string {
	return fmt.Sprintf("%s:%d:%d", r.Name.Range.Filename, r.Name.Range.Start.Line, r.Name.Range.Start.Column)
}

type record struct {
	Name   string `json:"name"`
	Host   string `json:"host,omitempty"`
	Place  string `json:"place"`
	Passed bool   `json:"passed"`
	Want   string `json:"want"`
	WantBy string `json:"want_by,omitempty"`
	Got    string `json:"got"`
	GotBy  string `json:"got_by,omitempty"`
	Packet string `json:"packet"`
	// Proxy is set if the packet ends at docker-proxy.
	Proxy bool `json:"proxy,omitempty"`
	// Assumed are the fields of the packet that the test does not set.
	Assumed []string `json:"assumed"`
}

type coverage struct {
	Rules    int        `json:"rules"`
	Percent  int        `json:"percent"`
	Untested []untested `json:"untested"`
}

type untested struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Place string `json:"place"`
}

// WriteJSON writes an array with an object for each test; with coverage, an object with that
// array and the coverage.
func WriteJSON(w io.Writer, report Report) error {
	records := []record{}
	for _, r := range report.Results {
		shown := ""
		if r.Got != "" {
			shown = r.Packet.String()
		}
		records = append(records, record{
			r.Test.Name.Value, r.Host, placeOf(r), r.Passed(),
			string(r.Test.Expect), r.Test.By, string(r.Got), r.By, shown, r.ToProxy, append([]string{}, r.Assumed...),
		})
	}
	if report.Coverage == nil {
		return escape.JSON(w, records)
	}
	c := coverage{report.Coverage.Rules, report.Coverage.Percent(), []untested{}}
	for _, r := range report.Coverage.Untested {
		c.Untested = append(c.Untested, untested{string(r.Kind), r.Name.Value, rulePlace(r)})
	}
	return escape.JSON(w, struct {
		Tests    []record `json:"tests"`
		Coverage coverage `json:"coverage"`
	}{records, c})
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

// WriteJUnit writes a report in the XML format of JUnit, which CI systems display. It has no
// coverage.
func WriteJUnit(w io.Writer, report Report) error {
	results := report.Results
	suite := junitSuite{Name: "dockerfw", Tests: len(results), Failures: policytest.Failed(results)}
	for _, r := range results {
		c := junitCase{Class: escape.Terminal(r.Test.DeclRange.Filename), Name: escape.Terminal(nameOf(r))}
		if !r.Passed() {
			text := escape.Terminal(placeOf(r))
			if r.Got != "" {
				text = escape.Sprintf("%s: %s%s", placeOf(r), counterexample(r), r.Packet)
			}
			c.Failure = &junitFailure{escape.Terminal(mismatch(r)), text}
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
