package cut_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
)

// BenchmarkRefused judges a full table of connections, from as many clients, by policies of
// several sizes.
func BenchmarkRefused(b *testing.B) {
	for _, rules := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d rules", rules), func(b *testing.B) {
			var blocks strings.Builder
			for i := range rules {
				fmt.Fprintf(&blocks, "deny \"r%d\" {\n protocol = \"tcp\"\n published_ports = [%d]\n source = [\"198.51.100.%d\"]\n}\n", i, 10000+i, i%250+1)
			}
			host, entry := loaded(b, withHost("", blocks.String()+"default {}"))
			var connections []cut.Connection
			for i := range 1 << 14 {
				c := connection(otherTCP)
				c.Original.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i%250 + 2)}), uint16(i))
				connections = append(connections, c)
			}
			b.ResetTimer()
			for range b.N {
				if _, err := cut.Refused(host, entry, connections, site); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(connections)), "µs/connection")
		})
	}
}
