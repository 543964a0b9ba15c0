//go:build linux

package e2e

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/golden/lab"
)

func TestRoutesAreThoseOfIPRouteGet(t *testing.T) {
	t.Parallel()
	ns := lab.NewNamespace(t, "dfw-routes")
	for _, command := range []string{
		"link add eth0 type veth peer name port0", "link set eth0 up", "link set port0 up",
		"address add 10.0.0.1/24 dev eth0", "address add 2001:db8::1/64 dev eth0 nodad",
		"link add br-a type bridge", "link set br-a up", "address add 172.18.0.1/16 dev br-a",
		"route add default via 10.0.0.254", "-6 route add default via 2001:db8::ff",
		"route add unreachable 10.1.0.0/16", "route add blackhole 10.2.0.0/16", "route add prohibit 10.3.0.0/16", "route add throw 10.4.0.0/16",
		"-6 route add unreachable 2001:db8:1::/64", "-6 route add blackhole 2001:db8:2::/64", "-6 route add prohibit 2001:db8:3::/64",
		"address add fe80::77/64 dev br-a nodad", // beside the ones of both devices
		"neighbor add fe80::3 lladdr 02:00:00:00:00:03 dev eth0 nud stale",
		"neighbor add fe80::4 lladdr 02:00:00:00:00:04 dev br-a nud reachable",
		"neighbor add fe80::5 lladdr 02:00:00:00:00:05 dev br-a nud reachable", "neighbor add fe80::5 lladdr 02:00:00:00:00:05 dev eth0 nud reachable",
		"neighbor add fe80::6 dev eth0 nud failed", "neighbor add fe80::6 lladdr 02:00:00:00:00:06 dev br-a nud stale",
		// Of packets with a mark.
		"route add default dev br-a table 7", "rule add fwmark 7 table 7",
	} {
		ns.MustRun(append([]string{"ip"}, strings.Fields(command)...)...)
	}
	check := func(to string, want cut.Route) {
		inside(t, ns, func() error {
			routes, err := cut.OpenRoutes()
			if err != nil {
				return err
			}
			defer routes.Close()
			got, err := routes.Route(netip.MustParseAddr(to))
			if got != want {
				t.Errorf("%s: %+v, want %+v", to, got, want)
			}
			return err
		})
	}
	noRoute := cut.Route{}
	for _, c := range []struct {
		to   string
		want cut.Route
	}{
		{"10.0.0.2", cut.Route{Device: "eth0"}},
		{"192.0.2.1", cut.Route{Device: "eth0"}},
		{"172.18.0.2", cut.Route{Device: "br-a"}},
		{"10.0.0.1", cut.Route{Local: true}},
		{"127.0.0.5", cut.Route{Local: true}},
		{"10.0.0.255", noRoute},
		{"255.255.255.255", noRoute},
		{"224.0.0.1", noRoute},
		{"10.1.0.1", noRoute},
		{"10.2.0.1", noRoute},
		{"10.3.0.1", noRoute},
		{"10.4.0.1", noRoute},
		{"2001:db8::2", cut.Route{Device: "eth0"}},
		{"2001:db8:ffff::2", cut.Route{Device: "eth0"}},
		{"2001:db8::1", cut.Route{Local: true}},
		{"::1", cut.Route{Local: true}},
		{"ff02::1", noRoute},
		{"2001:db8:1::1", noRoute},
		{"2001:db8:2::1", noRoute},
		{"2001:db8:3::1", noRoute},
	} {
		check(c.to, c.want)
		stdout, _, err := ns.Run("ip", "route", "get", c.to)
		shown := noRoute
		device := regexp.MustCompile(` dev (\S+)`).FindStringSubmatch(stdout)
		switch first, _, _ := strings.Cut(stdout, " "); {
		case err != nil, first == "broadcast", first == "multicast":
		case first == "local":
			shown.Local = true
		default:
			shown.Device = device[1]
		}
		if shown != c.want {
			t.Errorf("ip route get %s: %+v, want %+v: %s", c.to, shown, c.want, stdout)
		}
	}
	// ip route get shows the first link.
	for to, want := range map[string]cut.Route{
		"fe80::77": {Local: true}, "fe80::3": {Device: "eth0"}, "fe80::4": {Device: "br-a"},
		"fe80::5": noRoute, "fe80::6": {Device: "br-a"}, "fe80::7": noRoute,
	} {
		check(to, want)
	}
}
