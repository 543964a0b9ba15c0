package remote

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Scheme begins the address of a host.
const Scheme = "ssh://"

// Address is a host that ssh connects to.
type Address struct {
	// User is the account there; "" for the one that the configuration of ssh sets.
	User string
	// Host is a name, an alias of the configuration of ssh, or an IP address without brackets.
	Host string
	// Port is 0 for the one that the configuration of ssh sets.
	Port uint16
}

// word is a name of a user or a host. ssh substitutes both into commands of its configuration
// (%r and %h of ProxyCommand), so they contain no character that is special to a shell, and do
// not look like an option. It has at most maxWord bytes: a count in the expression would make it a
// program of 250 steps, which each run of dockerfw would pay for.
var word = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

const maxWord = 255

func isWord(s string) bool { return len(s) <= maxWord && word.MatchString(s) }

// inBrackets is an IPv6 address, perhaps with a zone.
var inBrackets = regexp.MustCompile(`^[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?$`)

// ParseAddress returns the host of an address ssh://[user@]host[:port].
func ParseAddress(text string) (Address, error) {
	a, why := parse(strings.TrimPrefix(text, Scheme))
	if why != "" {
		return Address{}, fmt.Errorf("%q: %s. Write ssh://[user@]host[:port], such as ssh://root@web1 or ssh://root@[2001:db8::1]:2222", text, why)
	}
	return a, nil
}

// parse returns the parts of an address without the scheme, or why it is not one.
func parse(text string) (a Address, why string) {
	if strings.ContainsAny(text, "/?#") {
		return a, "nothing may follow the host and port"
	}
	user, rest, ok := strings.Cut(text, "@")
	if !ok {
		user, rest = "", text
	}
	if _, _, password := strings.Cut(user, ":"); password {
		return a, "a password cannot be part of it; ssh asks for it"
	}
	if ok && !isWord(user) {
		return a, fmt.Sprintf("%q is not the name of a user", user)
	}
	host, port, ok := rest, "", false
	if inside, after, closed := strings.Cut(strings.TrimPrefix(rest, "["), "]"); strings.HasPrefix(rest, "[") {
		address, err := netip.ParseAddr(inside)
		if !closed || err != nil || !address.Is6() || !inBrackets.MatchString(inside) {
			return a, "brackets are for an IPv6 address"
		}
		host = inside
		if port, ok = strings.CutPrefix(after, ":"); !ok && after != "" {
			return a, fmt.Sprintf("%q follows the brackets", after)
		}
	} else {
		if _, err := netip.ParseAddr(rest); err == nil && strings.Contains(rest, ":") {
			return a, "an IPv6 address has to be in brackets"
		}
		host, port, ok = strings.Cut(rest, ":")
		if !isWord(host) {
			return a, fmt.Sprintf("%q is not the name or address of a host", host)
		}
	}
	a = Address{User: user, Host: host}
	if ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return a, "a port is a number from 1 to 65535"
		}
		a.Port = uint16(n)
	}
	return a, ""
}

// String is the address as a user writes it.
func (a Address) String() string {
	host := a.Host
	switch {
	case a.Port != 0:
		host = net.JoinHostPort(host, strconv.Itoa(int(a.Port)))
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	if a.User != "" {
		host = a.User + "@" + host
	}
	return Scheme + host
}

// arguments are those of ssh. The command is one word that every login shell runs; the script
// is its standard input.
func (a Address) arguments() []string {
	// A terminal, which the configuration of ssh may request, would change the output.
	args := []string{"-T"}
	if a.User != "" {
		args = append(args, "-l", a.User)
	}
	if a.Port != 0 {
		args = append(args, "-p", strconv.Itoa(int(a.Port)))
	}
	return append(args, "--", a.Host, "sh")
}
