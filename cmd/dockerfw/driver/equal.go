package driver

import (
	"crypto/sha256"
	"sync"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// maxPrinted is the number of hosts of which the files are kept for those that are equal.
const maxPrinted = 8

// equalHosts keeps the files of hosts for hosts that are equal to them but for the label, which come later.
type equalHosts struct {
	mu sync.Mutex
	// left is the number of hosts that were not printed yet, by the fingerprint of their policies.
	left    map[[sha256.Size]byte]int
	printed map[[sha256.Size]byte]*printedHost
}

// printedHost is the first one of equal hosts.
type printedHost struct {
	once  sync.Once
	label string
	files []folder.File
	err   error
}

func newEqualHosts(hosts []Host) *equalHosts {
	e := &equalHosts{left: map[[sha256.Size]byte]int{}, printed: map[[sha256.Size]byte]*printedHost{}}
	if len(hosts) > 1 { // else there is no fingerprint
		for _, h := range hosts {
			e.left[h.fingerprint]++
		}
	}
	return e
}

// files returns the files of a host: print prints them, and like derives them from those of an equal host. It is called
// once for each host.
func (e *equalHosts) files(h Host, print func() ([]folder.File, error), like func(files []folder.File, label string) ([]folder.File, error)) ([]folder.File, error) {
	e.mu.Lock()
	e.left[h.fingerprint]--
	first := e.printed[h.fingerprint]
	switch left := e.left[h.fingerprint]; {
	case left <= 0:
		delete(e.printed, h.fingerprint)
	case first == nil && len(e.printed) < maxPrinted:
		first = &printedHost{}
		e.printed[h.fingerprint] = first
	}
	e.mu.Unlock()
	if first == nil {
		return print()
	}
	first.once.Do(func() {
		first.label = h.label
		first.files, first.err = print()
	})
	if first.err != nil || first.label == h.label {
		return first.files, first.err
	}
	return like(first.files, first.label)
}
