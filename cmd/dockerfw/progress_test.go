package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

func TestProgressIsShownAfterASecondAndErased(t *testing.T) {
	var out strings.Builder
	var later []func()
	pass := func() {
		due := later
		later = nil
		for _, f := range due {
			f()
		}
	}
	p := &progressLine{w: &out, after: func(_ time.Duration, f func()) { later = append(later, f) }}
	screen := func() string {
		text := out.String()
		out.Reset()
		return text
	}

	p.report(driver.Progress{Stage: "compiling", Total: 3})
	p.report(driver.Progress{Stage: "compiling", Done: 1, Total: 3})
	if got := screen(); got != "" {
		t.Errorf("within the first second: %q", got)
	}
	pass()
	if got := screen(); got != "\r\x1b[Kcompiling: 1 of 3 hosts …" {
		t.Errorf("after a second: %q", got)
	}
	p.report(driver.Progress{Stage: "compiling", Done: 2, Total: 3})
	p.report(driver.Progress{Stage: "proving", Total: 3})
	if len(later) != 1 {
		t.Errorf("the line will be written %d times for two reports in a moment", len(later))
	}
	pass()
	if got := screen(); got != "\r\x1b[Kproving: 0 of 3 hosts …" {
		t.Errorf("in the next stage: %q", got)
	}
	p.report(driver.Progress{})
	if got := screen(); got != "\r\x1b[K" {
		t.Errorf("at the end: %q", got)
	}

	// Work that ends in less than a second writes nothing, also when the second is over.
	p.report(driver.Progress{Stage: "compiling", Total: 1})
	p.report(driver.Progress{})
	pass()
	if got := screen(); got != "" {
		t.Errorf("short work: %q", got)
	}
}
