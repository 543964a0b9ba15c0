package policytest

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Failed counts the tests that did not pass.
func Failed(results []Result) int {
	n := 0
	for _, r := range results {
		if !r.Passed() {
			n++
		}
	}
	return n
}

// Name is the name of the test, with its host in a fleet.
func (r Result) Name() string {
	if r.Host != "" {
		return r.Host + ": " + r.Test.Name.Value
	}
	return r.Test.Name.Value
}

// Place is the position of the test block.
func (r Result) Place() string {
	return fmt.Sprintf("%s:%d:%d", r.Test.DeclRange.Filename, r.Test.DeclRange.Start.Line, r.Test.DeclRange.Start.Column)
}

// Mismatch is what was expected, and what the packet got.
func (r Result) Mismatch() string {
	expected, got := verdictText(r.Test.Expect, r.Test.Proxy), verdictText(r.Got, r.Test.Proxy)
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

// WriteText writes a line for each test; for one that failed what was expected, what the
// packet got, and the packet.
func WriteText(w io.Writer, results []Result) error {
	for _, r := range results {
		if r.Passed() {
			escape.Fprintf(w, "ok    %s\n", r.Name())
			continue
		}
		escape.Fprintf(w, "FAIL  %s\n      %s: %s\n      %s\n", r.Name(), r.Place(), r.Mismatch(), r.Packet)
		for _, a := range r.Assumed {
			escape.Fprintf(w, "        assumed: %s\n", a)
		}
	}
	failed, noun := Failed(results), "tests"
	if len(results) == 1 {
		noun = "test"
	}
	return escape.Fprintf(w, "%d %s: %d passed, %d failed\n", len(results), noun, len(results)-failed, failed)
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
	// Assumed are the fields of the packet that the test does not set.
	Assumed []string `json:"assumed"`
}

// WriteJSON writes an array with an object for each test.
func WriteJSON(w io.Writer, results []Result) error {
	records := []record{}
	for _, r := range results {
		records = append(records, record{
			r.Test.Name.Value, r.Host, r.Place(), r.Passed(),
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

// WriteJUnit writes a report in the XML format of JUnit, which CI systems display.
func WriteJUnit(w io.Writer, results []Result) error {
	suite := junitSuite{Name: "dockerfw", Tests: len(results), Failures: Failed(results)}
	for _, r := range results {
		c := junitCase{Class: escape.Terminal(r.Test.DeclRange.Filename), Name: escape.Terminal(r.Name())}
		if !r.Passed() {
			c.Failure = &junitFailure{escape.Terminal(r.Mismatch()), escape.Sprintf("%s: %s", r.Place(), r.Packet)}
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
