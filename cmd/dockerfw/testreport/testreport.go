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
	expected, got := verdictText(r.Test.Expect, r.Test.Proxy || r.Test.ToHost), verdictText(r.Got, r.Test.Proxy || r.Test.ToHost)
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
func WriteText(w io.Writer, results []policytest.Result) error {
	for _, r := range results {
		if r.Passed() {
			escape.Fprintf(w, "ok    %s\n", nameOf(r))
			continue
		}
		escape.Fprintf(w, "FAIL  %s\n      %s: %s\n      %s\n", nameOf(r), placeOf(r), mismatch(r), r.Packet)
		for _, a := range r.Assumed {
			escape.Fprintf(w, "        assumed: %s\n", a)
		}
	}
	failed := policytest.Failed(results)
	return escape.Fprintf(w, "%s: %d passed, %d failed\n", words.Count(len(results), "test"), len(results)-failed, failed)
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
func WriteJSON(w io.Writer, results []policytest.Result) error {
	records := []record{}
	for _, r := range results {
		records = append(records, record{
			r.Test.Name.Value, r.Host, placeOf(r), r.Passed(),
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
func WriteJUnit(w io.Writer, results []policytest.Result) error {
	suite := junitSuite{Name: "dockerfw", Tests: len(results), Failures: policytest.Failed(results)}
	for _, r := range results {
		c := junitCase{Class: escape.Terminal(r.Test.DeclRange.Filename), Name: escape.Terminal(nameOf(r))}
		if !r.Passed() {
			c.Failure = &junitFailure{escape.Terminal(mismatch(r)), escape.Sprintf("%s: %s", placeOf(r), r.Packet)}
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
