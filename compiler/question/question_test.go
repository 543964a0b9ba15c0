package question_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/question"
)

var (
	client    = netip.MustParseAddr("192.0.2.9")
	client6   = netip.MustParseAddr("2001:db8::9")
	container = netip.MustParseAddr("172.17.0.2")
	far       = netip.MustParseAddr("203.0.113.80")
	host      = question.Host{External: []string{"eth+", "wg0"}}
	bridges   = question.Host{External: []string{"eth0"}, Container: []string{"docker0"}}
)

// Each question has one mistake, which is reported with the field to change.
func TestContradictoryQuestionsAreRefused(t *testing.T) {
	for _, c := range []struct {
		q       question.Question
		h       question.Host
		field   string
		summary string
	}{
		{question.Question{From: client, ToPort: 443, ToAddress: client6}, host, question.ToAddress, "addresses of two families"},
		{question.Question{From: client6, ToPort: 443, Container: container}, host, question.Container, "addresses of two families"},
		{question.Question{From: client6, Protocol: 1}, host, question.Protocol, "icmp from 2001:db8::9"},
		{question.Question{From: client, Protocol: 58}, host, question.Protocol, "icmpv6 from 192.0.2.9"},
		{question.Question{From: client, ToPort: 443, ICMP: &question.ICMP{Type: 3}}, host, question.ICMPType, "icmp_type does not apply"},
		{question.Question{From: client, Protocol: 1, ToPort: 443}, host, question.ToPort, "to_port does not apply"},
		{question.Question{From: client, Protocol: 47, FromPort: 443}, host, question.FromPort, "from_port does not apply"},
		{question.Question{From: client, Protocol: 47, ContainerPort: 443}, host, question.ContainerPort, "container_port does not apply"},
		{question.Question{From: client}, host, question.ToPort, "no port"},
		{question.Question{From: client, Proxy: true}, host, question.ToPort, "no port"},
		{question.Question{From: client, Proxy: true, Protocol: 1}, host, question.Proxy, "proxy does not apply"},
		{question.Question{From: client, Proxy: true, ToPort: 443, Container: container}, host, question.Container, "container with proxy"},
		{question.Question{From: client, Proxy: true, ToPort: 443, ContainerPort: 443}, host, question.ContainerPort, "container_port with proxy"},
		{question.Question{From: client, ToHost: true}, host, question.ToPort, "no port"},
		{question.Question{From: client, ToHost: true, Protocol: 1, ToPort: 22}, host, question.ToPort, "to_port does not apply"},
		{question.Question{From: client, ToHost: true, ToPort: 22, Container: container}, host, question.Container, "container with to_host"},
		{question.Question{From: client, ToHost: true, ToPort: 22, Out: "eth0"}, host, question.OutInterface, "out_interface with to_host"},
		{question.Question{From: client, ToHost: true, Proxy: true, ToPort: 22}, host, question.Proxy, "proxy with to_host"},
		{question.Question{From: client, Proxy: true, ToPort: 443, Out: "docker0"}, host, question.OutInterface, "out_interface with proxy"},
		{question.Question{From: client, ToPort: 443, ToAddress: far, Out: "eth0"}, host, question.OutInterface, "no interface"},
		{question.Question{From: client, ToPort: 443, In: "br-lan"}, bridges, question.InterfaceField, "no out_interface"},
		{question.Question{From: container, In: "docker0", ToPort: 443}, host, question.ToAddress, "no to_address"},
		{question.Question{From: container, In: "docker0", ToPort: 443, ToAddress: far, Container: client}, host, question.Container, "no bridge of the container"},
		{question.Question{From: container, In: "docker0", Out: "eth0", ToPort: 443, ToAddress: far, Container: client}, host, question.Container, "container does not apply"},
		{question.Question{From: container, In: "docker0", ToAddress: far, ToPort: 443, ContainerPort: 80}, host, question.ContainerPort, "two destination ports"},
		{question.Question{From: client, ToPort: 443, Reply: true}, host, question.ToPort, "to_port in a reply"},
		{question.Question{From: client, ToPort: 443, State: ir.CTInvalid}, host, question.ToPort, "to_port without a connection"},
		{question.Question{From: client, ToPort: 443, State: ir.CTUntracked}, host, question.ToPort, "to_port without a connection"},
		{question.Question{From: client, ContainerPort: 443, ToAddress: far, Container: container}, host, question.Container, "two destinations"},
	} {
		_, problems := question.Build(c.q, c.h, question.Attributes)
		if len(problems) != 1 || problems[0].Field != c.field || problems[0].Summary != c.summary {
			t.Errorf("%+v: got %+v, want %s: %s", c.q, problems, c.field, c.summary)
		}
	}
}

func TestAssumptionsNameTheFieldThatSetsThem(t *testing.T) {
	const in = "it arrives on eth0, the first external interface (interface)"
	const address = "it is sent to a host address that no rule lists, shown as 0.0.0.0 (to_address)"
	for _, c := range []struct {
		q       question.Question
		h       question.Host
		packet  string
		assumed []string
	}{
		{
			question.Question{From: client, ToPort: 443},
			host,
			"tcp 192.0.2.9:40000 -> 0.0.0.0:443 => 172.17.0.2:443 in eth0 out docker0 NEW",
			[]string{in, address, "it goes to container 172.17.0.2, port 443, on docker0 (container, container_port, out_interface)"},
		},
		{
			question.Question{From: client, ToPort: 443},
			question.Host{Container: []string{"br-+"}, SourcePorts: true},
			"tcp 192.0.2.9:40000 -> 0.0.0.0:443 => 172.17.0.2:443 in eth0 out br-0 NEW",
			[]string{"it arrives on eth0 (interface)", address, "it goes to container 172.17.0.2, port 443, on br-0 (container, container_port, out_interface)", "its source port is 40000 (from_port)"},
		},
		{
			question.Question{From: client, ContainerPort: 80, Container: container, In: "wg0", Out: "br-web"},
			host,
			"tcp 192.0.2.9:40000 -> 172.17.0.2:80 in wg0 out br-web NEW", nil,
		},
		{ // a ping of the host has no port
			question.Question{From: client6, Protocol: 58, ToHost: true},
			host,
			"icmpv6 type 128/0 2001:db8::9 -> :: in eth0 NEW",
			[]string{in, "it is sent to a host address that no rule lists, shown as :: (to_address)"},
		},
		{ // a packet from a container to itself does not pass the host
			question.Question{From: container, ContainerPort: 80, In: "docker0", Out: "br-web"},
			host,
			"tcp 172.17.0.2:40000 -> 172.17.0.3:80 in docker0 out br-web NEW",
			[]string{"it goes to container 172.17.0.3 (container)"},
		},
		{
			question.Question{From: container, ToPort: 443, ToAddress: far, In: "docker0"},
			host,
			"tcp 172.17.0.2:40000 -> 203.0.113.80:443 in docker0 out eth0 NEW",
			[]string{"it leaves on eth0, the first external interface (out_interface)"},
		},
	} {
		built, problems := question.Build(c.q, c.h, question.Attributes)
		if len(problems) > 0 || built.Packet.String() != c.packet || strings.Join(built.Assumed, "\n") != strings.Join(c.assumed, "\n") {
			t.Errorf("%+v: got %s\n%q\n%v\nwant %s\n%q", c.q, built.Packet, built.Assumed, problems, c.packet, c.assumed)
		}
	}
	// For flags the fields have the names of the flags.
	if _, problems := question.Build(question.Question{From: client, Proxy: true}, host, question.Flags); !strings.Contains(problems.Error(), "Write it with --to-port.") {
		t.Errorf("flags: %v", problems)
	}
}
