package published

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each socket is one that a client outside reaches, or not, with the reason in its inode.
func TestServicesAreWhatClientsOutsideReach(t *testing.T) {
	at := func(protocol uint8, address, inode string) socket {
		return socket{address: netip.MustParseAddrPort(address), inode: inode, protocol: protocol}
	}
	got := services([]socket{
		at(6, "[::]:22", "sshd"), at(6, "0.0.0.0:22", "sshd"),
		at(6, "192.0.2.1:9100", "unknown"),
		at(17, "0.0.0.0:41000", "resolver"), at(17, "0.0.0.0:51820", "wireguard"), at(17, "0.0.0.0:123", "chronyd"),
		at(17, "0.0.0.0:68", "dhclient"), at(17, "[::]:546", "dhclient"),
		at(6, "127.0.0.1:631", "cups"), at(6, "[::ffff:127.0.0.1]:631", "cups"), at(6, "[::1]:631", "cups"),
		at(6, "0.0.0.0:8080", "docker-proxy"),
		at(6, "0.0.0.0:40000", "high"),
	}, map[string]string{"sshd": "sshd", "chronyd": "chronyd", "cups": "cupsd", "docker-proxy": "docker-proxy", "high": "rpc.mountd", "resolver": "resolver"}, map[string]bool{"docker-proxy": true})
	want := []Service{{6, 22, "sshd"}, {6, 9100, ""}, {6, 40000, "rpc.mountd"}, {17, 123, "chronyd"}, {17, 51820, ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
