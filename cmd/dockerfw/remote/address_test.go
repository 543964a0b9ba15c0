package remote

import (
	"strings"
	"testing"
)

func TestAddressesBecomeTheArgumentsOfSSH(t *testing.T) {
	for address, want := range map[string]string{
		"ssh://web1":                        "-T -- web1 sh",
		"ssh://root@web1":                   "-T -l root -- web1 sh",
		"ssh://root@web-1.example.com:2222": "-T -l root -p 2222 -- web-1.example.com sh",
		"ssh://_svc.a-b@192.0.2.1:1":        "-T -l _svc.a-b -p 1 -- 192.0.2.1 sh",
		"ssh://root@[2001:db8::1]":          "-T -l root -- 2001:db8::1 sh",
		"ssh://[fe80::1%eth0]:65535":        "-T -p 65535 -- fe80::1%eth0 sh",
	} {
		a, err := ParseAddress(address)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := strings.Join(a.arguments(), " "); got != want {
			t.Errorf("%s: the arguments are %q, want %q", address, got, want)
		}
		if a.String() != address {
			t.Errorf("%s is shown as %s", address, a)
		}
	}
}

// Nothing in an address is an option of ssh, or special to the shell that ssh runs for
// ProxyCommand.
func TestOtherAddressesAreErrors(t *testing.T) {
	for address, want := range map[string]string{
		"ssh://":                            `"" is not the name or address of a host`,
		"ssh://-oProxyCommand=x":            "is not the name or address of a host",
		"ssh://-web1":                       "is not the name or address of a host",
		"ssh://root@-web1":                  "is not the name or address of a host",
		"ssh://-oProxyCommand@web1":         "is not the name of a user",
		"ssh://@web1":                       `"" is not the name of a user`,
		"ssh://a@b@web1":                    "is not the name or address of a host",
		"ssh://root:secret@web1":            "a password cannot be part of it; ssh asks for it",
		"ssh://web 1":                       "is not the name or address of a host",
		"ssh://web1\n":                      `"web1\n" is not the name or address of a host`,
		"ssh://ro\x1bot@web1":               `"ro\x1bot" is not the name of a user`,
		"ssh://web1;id":                     "is not the name or address of a host",
		"ssh://$(id)":                       "is not the name or address of a host",
		"ssh://`id`@web1":                   "is not the name of a user",
		"ssh://wéb":                         "is not the name or address of a host",
		"ssh://" + strings.Repeat("a", 256): "is not the name or address of a host",
		"ssh://web1/":                       "nothing may follow the host and port",
		"ssh://web1/etc":                    "nothing may follow the host and port",
		"ssh://web1:":                       "a port is a number from 1 to 65535",
		"ssh://web1:0":                      "a port is a number from 1 to 65535",
		"ssh://web1:65536":                  "a port is a number from 1 to 65535",
		"ssh://web1:+22":                    "a port is a number from 1 to 65535",
		"ssh://web1:ssh":                    "a port is a number from 1 to 65535",
		"ssh://web1:22:22":                  "a port is a number from 1 to 65535",
		"ssh://2001:db8::1":                 "an IPv6 address has to be in brackets",
		"ssh://[web1]":                      "brackets are for an IPv6 address",
		"ssh://[192.0.2.1]":                 "brackets are for an IPv6 address",
		"ssh://[2001:db8::1":                "brackets are for an IPv6 address",
		"ssh://[fe80::1%-e;id]":             "brackets are for an IPv6 address",
		"ssh://[2001:db8::1]22":             `"22" follows the brackets`,
		"ssh://[2001:db8::1]:":              "a port is a number from 1 to 65535",
	} {
		a, err := ParseAddress(address)
		if err == nil {
			t.Errorf("%q is accepted as %q", address, a.arguments())
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Write ssh://[user@]host[:port], such as") {
			t.Errorf("%q: got %q, want %q", address, err, want)
		}
	}
}
