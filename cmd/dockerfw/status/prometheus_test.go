package status

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
)

// parsed are the families of metrics as Prometheus reads them.
func parsed(t *testing.T, r *Report) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := WritePrometheus(&b, r, Style{Now: now, Program: "1.2.3"}); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "dockerfw_") || f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has type %s and help %q", name, f.GetType(), f.GetHelp())
		}
		if strings.HasSuffix(name, "_total") != (f.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s has type %s", name, f.GetType())
		}
	}
	return families
}

// values are the samples of a family by their labels.
func values(f *dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f.GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		out[strings.Join(labels, " ")] = max(m.GetGauge().GetValue(), m.GetCounter().GetValue())
	}
	return out
}

func TestPrometheusReadsTheMetrics(t *testing.T) {
	r := inForce()
	since := time.Unix(1700000000, 0)
	r.Since = &since
	r.State, r.OK, r.Differences = Different, false, []string{"a", "b"}
	r.Pending = &Pending{Overdue: true, Deadline: time.Unix(1700000060, 0)}
	r.Facts = []facts.Fact{facts.New("uplinks", facts.Warning, "one"), facts.New("x", facts.Error, "two"), facts.New("y", facts.Error, "three"), facts.New("z", facts.Note, "four")}
	families := parsed(t, r)
	for name, want := range map[string]map[string]float64{
		"program_info":                     {"version=1.2.3": 1},
		"status_timestamp_seconds":         {"": float64(now.Unix())},
		"ok":                               {"": 0},
		"state":                            {"state=in_force": 0, "state=different": 1, "state=not_loaded": 0, "state=dormant": 0, "state=closed": 0, "state=unknown": 0},
		"differences":                      {"": 2},
		"faults":                           {"severity=error": 2, "severity=warning": 1},
		"version_info":                     {"folder=/etc/dockerfw.d/2 digest=0123456789abcdef host=web1 backend=nft": 1},
		"target_info":                      {"target=iptables": 1},
		"version_loaded_timestamp_seconds": {"": 1700000000},
		"confirmation_pending":             {"": 1},
		"confirmation_overdue":             {"": 1},
		"confirmation_deadline_timestamp_seconds": {"": 1700000060},
		"boot_unit_enabled":                       {"": 1},
		"dropped_packets_total": {
			"rule=default family=ipv4 chain=DOCKER-USER fallback=false":         12,
			"rule=default family=ipv4 chain=DOCKERFW fallback=true":             1,
			`rule=deny "scanners" family=ipv6 chain=DOCKER-USER fallback=false`: 0,
		},
		"dropped_bytes_total": {
			"rule=default family=ipv4 chain=DOCKER-USER fallback=false":         0,
			"rule=default family=ipv4 chain=DOCKERFW fallback=true":             0,
			`rule=deny "scanners" family=ipv6 chain=DOCKER-USER fallback=false`: 0,
		},
		"set_entries": {"set=clients managed=true": 3, "set=bans managed=false": 1, "set=office managed=true": 0},
		"set_missing": {"set=clients": 0, "set=bans": 0, "set=office": 1},
	} {
		name = "dockerfw_" + name
		if d := cmp.Diff(want, values(families[name])); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
		delete(families, name)
	}
	for name := range families {
		t.Errorf("the test does not know %s", name)
	}
}

// A host without any record has no families without samples.
func TestMetricsOfAHostWithNothingLoaded(t *testing.T) {
	families := parsed(t, &Report{State: NotLoaded})
	for name, f := range families {
		if len(f.GetMetric()) == 0 {
			t.Errorf("%s has no samples", name)
		}
	}
	if got := values(families["dockerfw_ok"]); got[""] != 0 || len(families) < 8 {
		t.Errorf("%v, %d families", got, len(families))
	}
}

// What others chose, such as the name of a folder, does not end a label or a line.
func TestLabelsOfMetricsAreEscaped(t *testing.T) {
	r := inForce()
	r.Version.Folder = "/a\"b\\c\nd\x1b[31m\xff"
	r.Drops = []Drops{{Rule: `deny "x\"` + "\n} 5", Packets: math.MaxUint64}}
	families := parsed(t, r)
	for labels := range values(families["dockerfw_version_info"]) {
		if want := `folder=/a"b\c\nd\x1b[31m\xff`; !strings.HasPrefix(labels, want) {
			t.Errorf("%q does not begin with %q", labels, want)
		}
	}
	if n := len(values(families["dockerfw_dropped_packets_total"])); n != 1 {
		t.Errorf("%d samples, want one", n)
	}
}
