package driver

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/emit/iptables"
)

// prove returns the errors of the proof of one host of a policy without lists.
func prove(h Host, text iptables.Text) hcl.Diagnostics {
	return newProofCache(nil, 1).compare(h, text)
}
