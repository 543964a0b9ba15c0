package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The document keeps what people wrote before the marker, and has all else from the benchmarks.
func TestTheDocumentAndTheChartAreThoseOfTheBenchmarks(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "performance.md")
	before := "# Performance\n\nWritten by people.\n\n" + marker
	if err := os.WriteFile(doc, []byte(before+"\nold\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run reads what the first wrote
		if err := run([]string{"testdata/bench.txt", doc}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"performance.md", "performance.svg"} {
		got := readFile(t, filepath.Join(filepath.Dir(doc), name))
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(readFile(t, golden), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	}
}

func TestElapsedTimesBesideOtherProcessesAreMarked(t *testing.T) {
	idle := readFile(t, "testdata/bench.txt")
	for output, marked := range map[string]bool{idle: false, strings.ReplaceAll(idle, "2.00 others-%", "55.0 others-%"): true} {
		m, err := parse(output)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(m.markdown("p.svg"), "Other processes took 55 % of"); got != marked {
			t.Errorf("marked: %t, want %t", got, marked)
		}
	}
}

func TestGrowthIsOneWhereTenTimesTheSizeTakesTenTimesAsLong(t *testing.T) {
	at := func(size int, seconds float64) *result {
		return &result{size, map[string]float64{"cpu-s/run": seconds}, 1}
	}
	for _, c := range []struct {
		from, to *result
		want     float64
	}{
		{at(10, 1), at(100, 10), 1},
		{at(10, 1), at(100, 100), 2},
		{at(1000, 3), at(2000, 3), 0},
	} {
		if got := growth(c.from, c.to); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("from %v to %v: %f, want %f", c.from, c.to, got, c.want)
		}
	}
}

func TestOutputWithoutUsableResultsIsRefused(t *testing.T) {
	good := readFile(t, "testdata/bench.txt")
	for name, output := range map[string]string{
		"empty":                "",
		"other benchmarks":     "BenchmarkSpace/new-2 1 5 ns/op\n",
		"a failed benchmark":   good + "--- FAIL: BenchmarkRulesProcess/check/rules=10\n",
		"a failed package":     good + "FAIL\tgithub.com/dockerfw/dockerfw/cmd/dockerfw\t1.2s\n",
		"a value without unit": strings.ReplaceAll(good, "0.0600 cpu-s/run", "cpu-s/run"),
		"a metric missing":     strings.ReplaceAll(good, "40.0 MB", "40.0 GB"),
		"a zero":               strings.ReplaceAll(good, "0.0600 cpu-s/run", "0 cpu-s/run"),
	} {
		if _, err := parse(output); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	doc := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(doc, []byte("# no marker\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"testdata/bench.txt", doc}); err == nil || readFile(t, doc) != "# no marker\n" {
		t.Errorf("a file without the marker: %v", err)
	}
}

func TestNumbersHaveTwoSignificantDigits(t *testing.T) {
	for x, want := range map[float64]string{
		0.00123: "0.0012", 0.0996: "0.10", 0.5: "0.50", 0.994: "0.99", 0.996: "1.0", 4: "4.0", 9.94: "9.9", 9.96: "10", 12.4: "12", 1234.5: "1,235",
	} {
		if got := significant(x); got != want {
			t.Errorf("%g: %s, want %s", x, got, want)
		}
	}
}

// A browser shows no part of a chart that is not XML, and loads nothing for one in a page.
func TestTheChartIsXMLWithoutReferences(t *testing.T) {
	m, err := parse(readFile(t, "testdata/bench.txt"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(m.chart()))
	elements := map[string]int{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[start.Name.Local]++
		for _, a := range start.Attr {
			if a.Name.Local == "href" || a.Name.Local == "src" || strings.Contains(a.Value, "url(") || strings.Contains(a.Value, "NaN") {
				t.Errorf("<%s %s=%q>", start.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	if elements["title"] != 1 || elements["desc"] != 1 || elements["circle"] == 0 {
		t.Errorf("elements: %v", elements)
	}
}
