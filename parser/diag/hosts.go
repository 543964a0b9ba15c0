package diag

import (
	"fmt"
	"strings"
)

// shownHosts is how many hosts of a long list are shown by name.
const shownHosts = 2

// HostsText lists the hosts of a fleet with the diagnostic: "host web2", "hosts web1, web2
// and 3 more", or "all 500 hosts, here web1" if its text or place is that of one of them.
// It is "" if it is the same for all hosts.
func (i Info) HostsText() string {
	switch n := len(i.Hosts); {
	case i.Host == "":
		return ""
	case n > shownHosts+1 && i.AllHosts:
		return fmt.Sprintf("all %d hosts, here %s", n, i.Host)
	case n > shownHosts+1:
		return fmt.Sprintf("hosts %s and %d more", strings.Join(i.Hosts[:shownHosts], ", "), n-shownHosts)
	case n > 1:
		return fmt.Sprintf("hosts %s and %s", strings.Join(i.Hosts[:n-1], ", "), i.Hosts[n-1])
	}
	return "host " + i.Host
}
