package driver

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/emit/iptables"
)

// fleetProofs has what the proofs of all tests have in common, as those of the hosts of one policy.
var fleetProofs = newProofCache(nil, 2, nil)

// prove returns the errors of the proof of one host of a policy without lists, which are those of a host of a fleet.
func prove(h Host, text iptables.Text) hcl.Diagnostics {
	alone, ofFleet := newProofCache(nil, 1, nil).compare(h, text), fleetProofs.compare(h, text)
	if alone.Error() != ofFleet.Error() {
		panic(fmt.Sprintf("alone: %v\nin a fleet: %v", alone, ofFleet))
	}
	return alone
}
