package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// units are what grows in the benchmarks BenchmarkUNITProcess/SERIES/UNIT=SIZE, with the series
// and their descriptions, in the order of the table and of the chart.
var units = []unit{
	{"rules", "Rules", "rule", []series{
		{"compile", "compile"},
		{"check", "check"},
		{"diff", "diff"},
		{"compile-ports", "compile, one port per rule"},
	}},
	{"entries", "Entries", "entry", []series{
		{"compile", "compile, addresses"},
		{"compile-mixed", "compile, mixed"},
		{"compile-mixed6", "compile, mixed IPv6"},
		{"diff", "diff, addresses"},
	}},
	{"hosts", "Hosts", "host", []series{
		{"compile", "compile, same rules"},
		{"compile-own", "compile, a rule per host"},
		{"diff-own", "diff, a rule per host"},
	}},
}

type unit struct {
	name, title, one string
	series           []series
}

// of returns the word for a number of the unit.
func (u unit) of(n int) string {
	if n == 1 {
		return u.one
	}
	return u.name
}

type series struct{ name, description string }

// peers are the programs that dockerfw is compared with, in the order of the columns.
var peers = []string{"ferm", "foomuuri", "iptables-restore", "nft", "iprange", "sort"}

// result is the mean of the runs of one benchmark.
type result struct {
	size    int
	metrics map[string]float64 // by unit, as the benchmark reports them
	runs    int
}

// cpu is the CPU time of dockerfw in seconds.
func (r *result) cpu() float64 { return r.metrics["cpu-s/run"] }

// peerCPU returns the CPU time of a peer in seconds; there is none where it did not run.
func (r *result) peerCPU(peer string) (seconds float64, ran bool) {
	ratio, ran := r.metrics["cpu/"+peer]
	return r.cpu() / ratio, ran
}

// measurements are what the output of the benchmarks has.
type measurements struct {
	settings map[string]string    // "key: value" lines
	series   map[string][]*result // by unit/series, sorted by size
	// others is the mean share of the machine's CPU time that other processes took, in percent.
	others float64
}

var (
	benchmarkLine = regexp.MustCompile(`^Benchmark\w+Process/(\S+)/(\w+)=(\d+)-(\d+)\s+(\d+)\s+(.*)$`)
	settingLine   = regexp.MustCompile(`^([a-z][a-z-]*): (.*)$`)
)

// parse reads the output of go test -bench. Benchmarks of other names are ignored.
func parse(output string) (*measurements, error) {
	m := &measurements{settings: map[string]string{}, series: map[string][]*result{}}
	var others, time float64
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "FAIL") {
			return nil, errors.New("a benchmark failed")
		}
		if s := settingLine.FindStringSubmatch(line); s != nil {
			m.settings[s[1]] = s[2]
			continue
		}
		b := benchmarkLine.FindStringSubmatch(line)
		if b == nil || !known(b[2], b[1]) {
			continue
		}
		m.settings["processors"] = b[4]
		metrics, err := parseMetrics(b[6])
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		size, err := strconv.Atoi(b[3])
		if err != nil {
			return nil, err
		}
		runs, err := strconv.ParseFloat(b[5], 64)
		if err != nil {
			return nil, err
		}
		m.add(b[2]+"/"+b[1], size, metrics)
		others += metrics["others-%"] * runs * metrics["ns/op"]
		time += runs * metrics["ns/op"]
	}
	if time == 0 {
		return nil, errors.New("no benchmark of whole processes has results")
	}
	m.others = others / time
	return m, nil
}

func known(unitName, seriesName string) bool {
	return slices.ContainsFunc(units, func(u unit) bool {
		return u.name == unitName && slices.ContainsFunc(u.series, func(s series) bool { return s.name == seriesName })
	})
}

// parseMetrics reads pairs of a number and its unit.
func parseMetrics(text string) (map[string]float64, error) {
	out := map[string]float64{}
	words := strings.Fields(text)
	if len(words)%2 != 0 {
		return nil, errors.New("a number without its unit")
	}
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return nil, err
		}
		out[words[i+1]] = n
	}
	for _, needed := range []string{"ns/op", "cpu-s/run", "s/run", "MB"} {
		if out[needed] <= 0 {
			return nil, fmt.Errorf("no %s", needed)
		}
	}
	return out, nil
}

// add adds a run of a benchmark; several runs of one count as their mean.
func (m *measurements) add(key string, size int, metrics map[string]float64) {
	i, found := slices.BinarySearchFunc(m.series[key], size, func(r *result, size int) int { return r.size - size })
	if !found {
		m.series[key] = slices.Insert(m.series[key], i, &result{size, metrics, 1})
		return
	}
	r := m.series[key][i]
	for name, value := range metrics {
		r.metrics[name] += (value - r.metrics[name]) / float64(r.runs+1)
	}
	r.runs++
}

// growth returns the exponent by which CPU time grows from one result to the next: 1 where ten
// times the size takes ten times as long.
func growth(from, to *result) float64 {
	return math.Log(to.cpu()/from.cpu()) / math.Log(float64(to.size)/float64(from.size))
}

// steepest is the highest growth that counts as n log n: it is that of n log n itself from 10,000
// to 100,000, and measurements vary.
const steepest = 1.1
