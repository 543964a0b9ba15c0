//go:build !linux

package network

import "errors"

// Read fails: only Linux has the interfaces that rules of iptables match.
func Read() (*State, error) {
	return nil, errors.New("the network interfaces can be read on Linux only")
}
