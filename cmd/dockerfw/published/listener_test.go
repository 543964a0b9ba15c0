package published

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"
)

// Command lines of engines 20.10 and 28; the last ones are none of docker-proxy's.
func TestDockerProxiesAreReadFromTheirArguments(t *testing.T) {
	for _, c := range []struct {
		args string
		want Listener
		ok   bool
	}{
		{
			"/usr/sbin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80",
			Listener{6, netip.MustParseAddr("0.0.0.0"), 8080, netip.MustParseAddrPort("172.17.0.2:80"), ""},
			true,
		},
		{
			"docker-proxy -proto udp -host-ip :: -host-port 53 -container-ip fd00::2 -container-port 5353 -use-listen-fd",
			Listener{17, netip.MustParseAddr("::"), 53, netip.MustParseAddrPort("[fd00::2]:5353"), ""},
			true,
		},
		{
			"docker-proxy -use-listen-fd -proto=sctp --host-ip=127.0.0.1 -host-port 9 -container-ip 172.17.0.2 -container-port 9",
			Listener{132, netip.MustParseAddr("127.0.0.1"), 9, netip.MustParseAddrPort("172.17.0.2:9"), ""},
			true,
		},
		{"docker-proxy", Listener{}, false},
		{"docker-proxy -proto tcp -host-ip x -host-port 80 -container-ip 172.17.0.2 -container-port 80", Listener{}, false},
		{"docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 0 -container-ip 172.17.0.2 -container-port 80", Listener{}, false},
		{"docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port", Listener{}, false},
	} {
		got, ok := proxyListener(strings.Fields(c.args))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v, %t", c.args, got, ok)
		}
	}
}

func TestSocketsThatWaitForClients(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the lines are those of a little-endian Linux")
	}
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 20 4 30 10 -1
   3: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 444 1 0
   4: cut off
`
	var got []string
	for _, s := range sockets(table, tcpListen) {
		got = append(got, s.address.String()+" "+s.inode)
	}
	if want := "127.0.0.1:8080 111, 0.0.0.0:22 222, [2001:db8::1]:80 444"; strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
}
