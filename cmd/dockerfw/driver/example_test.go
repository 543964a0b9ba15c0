package driver_test

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

func ExamplePolicy() {
	result, diags := driver.Policy("testdata/policy.hcl", driver.Options{})
	if diags.HasErrors() {
		panic(diags)
	}
	for line := range strings.Lines(string(result.Folder()["iptables.restore"])) {
		if strings.HasPrefix(line, "-A DOCKER-USER") {
			fmt.Print(line)
		}
	}
	// Output:
	// -A DOCKER-USER -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT
	// -A DOCKER-USER -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment "dockerfw accept https" -j ACCEPT
	// -A DOCKER-USER ! -s 192.0.2.0/24 -i eth0 -m comment --comment "dockerfw default" -j DROP
}
