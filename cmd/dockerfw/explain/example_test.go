package explain_test

import (
	"fmt"
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// A client that sends to a container's own address does not use the published port.
func Example() {
	policy, diags, err := snapshot.Open("testdata/policy.hcl", driver.Options{})
	if err != nil || diags.HasErrors() {
		panic(fmt.Sprint(err, diags))
	}
	question, problems := explain.Flags{From: "192.0.2.9", ContainerPort: 443, Container: "172.18.0.5", Protocol: "tcp", In: "eth0", Out: "br-web"}.Question()
	if len(problems) > 0 {
		panic(problems)
	}
	answers, err := explain.Explain(policy.Hosts[0], question, "")
	if err != nil {
		panic(err)
	}
	if err := explain.Write(os.Stdout, "text", answers); err != nil {
		panic(err)
	}
	// Output:
	// tcp 192.0.2.9:40000 -> 172.18.0.5:443 in eth0 out br-web NEW
	//
	// Dropped by rule default (testdata/policy.hcl:11:1)
	//     -A DOCKER-USER -i eth0 -m comment --comment "dockerfw default" -j DROP
	// Rules checked before, in chain DOCKER-USER:
	//   established (implicit): its state is NEW, not RELATED or ESTABLISHED
	//   accept "https" (testdata/policy.hcl:6:1): Docker did not translate it (no DNAT): it goes to the container's own address
}
