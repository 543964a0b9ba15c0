package facts

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRulesWhoseExpiresHasPassedAreReportedOnce(t *testing.T) {
	want := compiled(t, `external_interfaces = ["eth0"]`, `
accept "trial" {
  protocol        = "tcp"
  published_ports = [443]
  source          = ["192.0.2.0/24", "2001:db8::/32"]
  expires         = "2027-01-31T18:00:00Z"
}
deny "scanners" {
  source  = ["198.51.100.0/24"]
  expires = "2027-02-28"
}
accept "always" {
  protocol        = "tcp"
  published_ports = [80]
}
default { allow = [] }
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    expires  = "2027-01-31"
  }
}`)
	const text = " and no longer matches any packet. Remove the rule from the policy, or set a new date, and compile it again"
	trial := `accept "trial" has expired: it ended at 2027-01-31T18:00:00Z` + text
	ssh := `accept "ssh" has expired: it ended at 2027-02-01T00:00:00Z` + text
	scanners := `deny "scanners" has expired: it ended at 2027-03-01T00:00:00Z` + text
	for now, texts := range map[string][]string{
		"2027-01-31T17:59:59Z": nil,
		"2027-01-31T18:00:00Z": {trial},
		"2027-02-01T00:00:00Z": {trial, ssh},
		"2027-03-01T00:00:00Z": {scanners, trial, ssh},
	} {
		moment, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		var expected []Fact
		for _, text := range texts {
			expected = append(expected, Fact{ExpiredName, Warning, text})
		}
		if d := cmp.Diff(expected, Expired(want, moment)); d != "" {
			t.Errorf("%s: -want +got\n%s", now, d)
		}
	}
}
