package published_test

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
)

// A foreign rule that translates a published port before Docker's does, or leaves it to the host, takes
// it from the container.
func TestForeignRulesAheadOfDockersDNATAreFound(t *testing.T) {
	want := policy(t, onePort)
	const dockers = "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
	for name, c := range map[string]struct {
		before, after string
		want          string // the rule, for port 443
	}{
		"none":                    {"", "", ""},
		"DNAT":                    {"-A PREROUTING -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443\n", "", "-A PREROUTING -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443"},
		"DNAT of some clients":    {"-A PREROUTING -s 198.51.100.0/24 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5\n", "", "-A PREROUTING -s 198.51.100.0/24 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5"},
		"DNAT of local addresses": {"-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.0.0.5\n", "", "-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.0.0.5"},
		"REDIRECT in a chain":     {":LOCAL - [0:0]\n-A PREROUTING -j LOCAL\n-A LOCAL -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 8080\n", "", "-A LOCAL -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 8080"},
		"ACCEPT":                  {"-A PREROUTING -i eth0 -j ACCEPT\n", "", "-A PREROUTING -i eth0 -j ACCEPT"},
		"behind Docker's":         {"", "-A PREROUTING -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443\n", ""},
		"of another port":         {"-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:443\n", "", ""},
		"on another interface":    {"-A PREROUTING -i eth9 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.5:443\n", "", ""},
		"RETURN":                  {"-A PREROUTING -p tcp -m tcp --dport 443 -j RETURN\n", "", "-A PREROUTING -p tcp -m tcp --dport 443 -j RETURN"},
		"RETURN from a chain":     {":LOCAL - [0:0]\n-A PREROUTING -j LOCAL\n-A LOCAL -p tcp -m tcp --dport 443 -j RETURN\n", "", ""},
	} {
		have := openSide(t, map[string]string{"rules.v4": strings.Replace(nat4, dockers, c.before+dockers+c.after, 1) + filter4})
		all, err := published.Exposures(want, have, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for _, x := range all {
			if x.Port.First == 443 && x.Path == published.Forwarded {
				seen = true
				if x.Ahead != c.want {
					t.Errorf("%s: %q", name, x.Ahead)
				}
			}
		}
		text := ""
		for _, f := range published.Findings(want, all) {
			if strings.HasPrefix(f.Text, "foreign rules ahead of Docker's DNAT") {
				text = f.Text
			}
		}
		if !seen || (text != "") != (c.want != "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: %t %q", name, seen, text)
		}
	}
}
