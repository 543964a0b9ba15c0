package diff_test

import (
	"fmt"
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func open(name string) *snapshot.Fleet {
	side, diags, err := snapshot.Open(name, driver.Options{})
	if err != nil || diags.HasErrors() {
		panic(fmt.Sprint(err, diags))
	}
	return side
}

// A policy that publishes one more port newly allows the clients of that port.
func Example() {
	reports, err := diff.Fleet(open("testdata/example/old.hcl"), open("testdata/example/new.hcl"), diff.Options{})
	if err != nil {
		panic(err)
	}
	reports[0].Rules = nil // only what they mean
	if err := diff.Write(os.Stdout, "text", reports, diff.Style{}); err != nil {
		panic(err)
	}
	// Output:
	// 1 change: some traffic is newly allowed
	//
	// Changes
	//   + newly allowed (IPv4): drop → accept
	//       everyone, arriving on eth0, to published port 8443/tcp
	//       old rule:   default (testdata/example/old.hcl:11:1)
	//       new rule:   accept "https" (testdata/example/new.hcl:6:1)
	//       example:    tcp 198.51.100.1:40000 -> 192.0.2.1:8443 => 172.17.0.2:80 in eth0 out docker0 NEW
}
