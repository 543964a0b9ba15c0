package snapshot

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Each form of a DNAT rule of an engine is a published port; the bridge is in another rule where
// the rule itself excludes none.
func TestPublishedPortsOfEachForm(t *testing.T) {
	host := open(t, write(t, filepath.Join(t.TempDir(), "host.v4"), `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-INGRESS - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-INGRESS
-A FORWARD -o br-user -j DOCKER
-A DOCKER -d 10.210.0.2/32 ! -i br-user -o br-user -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-INGRESS -p tcp -m tcp --dport 8081 -j ACCEPT
-A DOCKER-INGRESS -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-INGRESS - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.2:5353
-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.210.0.2:80
-A DOCKER -p tcp -m tcp --dport 9090 -j DNAT --to-destination 192.0.2.7:80
-A DOCKER-INGRESS -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.18.0.2:8081
-A DOCKER-INGRESS -j RETURN
COMMIT
`))
	var got []string
	for _, p := range host.Published(ir.IPv4) {
		got = append(got, ProxyPort(p.Protocol, p.Port)+" "+p.Bridge+" "+p.Container.String())
	}
	want := []string{
		`"53/udp" docker0 172.17.0.2:5353`, // the rule excludes the bridge
		"8080 br-user 10.210.0.2:80",       // "userland-proxy": false
		// 9090 is no container's: no other rule of Docker has its address.
		"8081 docker_gwbridge 172.18.0.2:8081", // Swarm's routing mesh
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNetworksWithGatewayModes(t *testing.T) {
	host := open(t, write(t, filepath.Join(t.TempDir(), "host.v4"), `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A DOCKER -d 10.211.0.2/32 ! -i br-routed -o br-routed -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i br-nat -o br-nat -j DROP
-A DOCKER -o br-routed -p icmp -j ACCEPT
-A DOCKER ! -i br-routed -o br-routed -j DROP
-A DOCKER ! -i br-open -o br-open -j ACCEPT
COMMIT
`))
	for mode, want := range map[GatewayMode][]string{Routed: {"br-routed"}, NATUnprotected: {"br-open"}} {
		if diff := cmp.Diff(want, host.Gateways(ir.IPv4, mode)); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
	}
}
