package report

import "testing"

func TestPortsAreJoinedByTheirProtocol(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"443/tcp", "80/tcp"}, "80, 443/tcp"},
		{[]string{"5432/tcp", "27000-27010/udp", "80, 443/tcp", "443/udp", "80/tcp"}, "80, 443, 5432/tcp; 443, 27000-27010/udp"},
		{[]string{"443/tcp", "all other tcp ports", "all icmp", "all other udp ports", "22/tcp"}, "22, 443/tcp; all other tcp and udp ports; all icmp"},
		{[]string{"443/tcp on 192.0.2.5", "80/tcp"}, "80/tcp; 443/tcp on 192.0.2.5"},
	} {
		if got := joinPorts(c.names); got != c.want {
			t.Errorf("%q: %s, want %s", c.names, got, c.want)
		}
	}
}
