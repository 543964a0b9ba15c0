package driver

import "testing"

// A random policy found this once: a packet arrives on eth0 and leaves on eth0, and an
// egress rule matches on the external interface. The compiled rules left the packet to
// Docker's rules, but the policy drops it.
func TestAnEgressDenyOnTheExternalInterfaceIsProved(t *testing.T) {
	compileText(t, `
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
}
egress {
  deny "limited" {
    source     = ["192.0.2.1"]
    protocol   = ["tcp"]
    interfaces = ["eth0"]
    connections {
      max = 9
    }
    log {}
  }
}
`)
}
