//go:build !linux

package cut

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Only Linux has iptables and its connection tracking.
var errNotLinux = fmt.Errorf("connection tracking is not available: %w", errors.ErrUnsupported)

// Connections is supported on Linux only.
func Connections(ir.Family) ([]Connection, error) { return nil, errNotLinux }

// End is supported on Linux only.
func End([]Refusal) ([]Refusal, error) { return nil, errNotLinux }

// HostRoutes is supported on Linux only.
type HostRoutes struct{}

// OpenRoutes is supported on Linux only.
func OpenRoutes() (*HostRoutes, error) { return nil, errNotLinux }

// Close is supported on Linux only.
func (*HostRoutes) Close() error { return errNotLinux }

// Route is supported on Linux only.
func (*HostRoutes) Route(netip.Addr) (Route, error) { return Route{}, errNotLinux }
