//go:build !linux

package emit

import "errors"

// swapNames is for Linux alone.
func swapNames(a, b string) error { return errors.ErrUnsupported }

const canSyncAll = false

func syncAll(string) error { return errors.ErrUnsupported }
