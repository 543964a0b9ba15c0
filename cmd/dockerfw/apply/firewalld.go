package apply

import (
	"context"
	"time"
)

// firewalldWait is how long a load waits for firewalld. A reload takes it some seconds on a slow host.
const firewalldWait = time.Minute

// waitForFirewalld waits until firewalld has completed what it does, where it runs: rules that are
// loaded while it reloads or starts would be deleted. firewalld owns its name on D-Bus, and "systemctl
// reload firewalld" returns, before it has deleted all rules; it answers this question afterwards
// (measured with 1.3.3).
func (a *Applier) waitForFirewalld() {
	if _, err := a.tools.Find("firewall-cmd"); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(background, firewalldWait)
	defer cancel()
	// It fails where firewalld does not run.
	if _, err := a.tools.Output(ctx, nil, "firewall-cmd", "--state"); err != nil && ctx.Err() != nil {
		a.warn("firewalld has not answered for a minute: it may delete the rules that are loaded now")
	}
}
