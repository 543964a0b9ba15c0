// Package policies has versions of a host's policy, which tests load one after the other: on
// simulated hosts and on real ones. Each has something that a change to another version has to
// handle.
//
// In: nothing. Out: the text of each policy, in HCL. It compiles nothing.
package policies

// Policy is a policy with a name for messages.
type Policy struct {
	Name, Text string
}

// All are the policies. The last one is for simulated hosts only: changes between all others take
// long on real ones.
var All = []Policy{
	{"clients", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.clients] }
`},
	{"other clients, rechecked", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.11", "192.0.2.64/26", "2001:db8:1::/64"] }
ipset "banned" { entries = ["198.51.100.0/24"] }
established { sessions = "recheck" }
deny "banned" { source = [ipset.banned] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443, "8000-8100"]
}
default { allow = [ipset.clients] }
`},
	{"a list of sets", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients, ipset.office]
}
default { allow = [ipset.known] }
`},
	{"a shorter list", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.12", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients]
}
accept "office" {
  source          = [ipset.office]
  protocol        = "tcp"
  published_ports = [22]
}
default { allow = [ipset.known] }
`},
	{"single addresses", `
host { external_interfaces = ["eth0"] }
ipset "clients" {
  type     = "hash:ip"
  entries  = ["192.0.2.10", "192.0.2.12", "2001:db8::10"]
  hashsize = 4096
  maxelem  = 2048
  counters = true
}
ipset "office" {
  type    = "hash:ip"
  entries = ["203.0.113.1"]
  timeout = 600
  comment = true
}
default { allow = [ipset.clients, ipset.office] }
`},
	{"an unmanaged set", `
host { external_interfaces = ["eth0"] }
ipset "clients" { managed = false }
deny "office" { source = ["203.0.113.0/28", "203.0.113.64"] }
default { allow = [ipset.clients] }
`},
	{"a jump", `
host {
  external_interfaces = ["eth0", "wg+"]
  install             = "jump"
}
ipset "clients" { entries = ["192.0.2.10", "192.0.2.32/29", "2001:db8::20"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default {
  allow  = [ipset.clients]
  action = "reject"
}
`},
	{"inserted", `
host {
  external_interfaces = ["eth0"]
  install             = "insert"
}
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients]
}
accept "mail" {
  source          = [ipset.known]
  protocol        = "tcp"
  published_ports = [25, 587]
}
`},
	{"egress, without IPv6", `
host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}
ipset "clients" { entries = ["192.0.2.10"] }
ipset "mirrors" { entries = ["198.51.100.80"] }
default { allow = [ipset.clients] }
egress {
  accept "mirrors" { destination = [ipset.mirrors] }
  default { action = "drop" }
}
`},
	{"a closed host", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.clients] }
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.office]
    rate { limit = "20/minute" }
  }
}
`},
	{"a list of an unmanaged set", `
host { external_interfaces = ["eth0"] }
ipset "cdn" { managed = false }
ipset "office" { entries = ["203.0.113.0/29", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.cdn, ipset.office]
}
default { allow = [ipset.known] }
`},
}

// Real are the policies for real hosts.
func Real() []Policy { return All[:len(All)-1] }

// Text returns the text of a policy; "" if there is none of that name.
func Text(name string) string {
	for _, p := range All {
		if p.Name == name {
			return p.Text
		}
	}
	return ""
}
