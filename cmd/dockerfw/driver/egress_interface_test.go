package driver

import "testing"

// A random policy found this once: the packet arrives on eth0 and leaves on eth0, so that the
// rule's interface is the external one although it is an egress rule. The compiled rules left
// the packet to Docker's rules; the policy drops it.
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
