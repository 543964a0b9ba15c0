//go:build !linux

package hosttool

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

func detach(*exec.Cmd) {}

func inputFile([]byte) (*os.File, error) { return nil, errors.ErrUnsupported }

// Namespace exists on Linux only.
type Namespace struct{}

// NewNamespace returns an error that wraps [ErrNamespace].
func (r *Runner) NewNamespace() (*Namespace, error) { return nil, ErrNamespace }

// Output is never called: there are no namespaces.
func (n *Namespace) Output(context.Context, []byte, string, ...string) ([]byte, error) {
	return nil, ErrNamespace
}

// Close does nothing.
func (n *Namespace) Close() error { return nil }
