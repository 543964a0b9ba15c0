package explain_test

import (
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/question"
)

func TestFlagsAreParsed(t *testing.T) {
	q, problems := explain.Flags{From: "2001:db8::9", Protocol: "icmpv6", ICMPType: "packet-too-big", State: "Reply", In: "eth0"}.Question()
	if len(problems) > 0 || q.Protocol != 58 || q.ICMP == nil || *q.ICMP != (question.ICMP{Type: 2}) || !q.Reply || q.State != ir.CTEstablished {
		t.Errorf("%+v %v", q, problems)
	}
	q, problems = explain.Flags{From: "192.0.2.9", Protocol: "icmp", ICMPType: "3/4"}.Question()
	if len(problems) > 0 || q.ICMP == nil || *q.ICMP != (question.ICMP{Type: 3, Code: 4}) {
		t.Errorf("%+v %v", q, problems)
	}
}

func TestEveryBadFlagIsReported(t *testing.T) {
	_, problems := explain.Flags{
		From: "example.org", Container: "::ffff:192.0.2.1", Protocol: "tpc", ICMPType: "255", In: "eth+", State: "open",
	}.Question()
	const want = `--from example.org: Write an IPv4 or IPv6 address.
--container ::ffff:192.0.2.1: Write an IPv4 or IPv6 address.
--protocol tpc: Write tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255.
--interface eth+: A packet passes one interface. Write its name, not a pattern.
--state open: Write new, established, related, reply, invalid or untracked.
--icmp-type 255: Write a name such as echo-request, a number from 0 to 254, or type and code such as 3/4.`
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, problems := (explain.Flags{Protocol: "tcp", ToPort: 1}).Question(); problems.Error() != "no --from: Write the source address of the packet." {
		t.Errorf("without --from: %v", problems)
	}
}
