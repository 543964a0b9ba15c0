//go:build !linux

package published

import (
	"errors"
	"net/netip"
)

// Listeners fails: dockerfw runs beside Docker on Linux only.
func Listeners() ([]Listener, error) { return nil, errors.ErrUnsupported }

// Services fails like Listeners.
func Services() ([]Service, error) { return nil, errors.ErrUnsupported }

func kernelAddress(string) (netip.Addr, bool) { return netip.Addr{}, false }
