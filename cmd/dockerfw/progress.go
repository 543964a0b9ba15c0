package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// quietTime is how long work may take without a line about its progress, and refreshTime how often
// the line is written again.
const (
	quietTime   = time.Second
	refreshTime = 100 * time.Millisecond
)

// progressLine shows on a terminal what takes more than a second: one line, which is erased when the
// work ends.
type progressLine struct {
	w     io.Writer
	after func(time.Duration, func()) // calls a function later

	mu      sync.Mutex
	current driver.Progress
	// due: the quiet time is over. waiting: the line will be written again.
	due, waiting, shown bool
	// works counts the compilations, of which a command may have several.
	works int
}

// showProgress returns the function that a compilation reports its progress to; nil if standard error
// is not a terminal.
func showProgress() func(driver.Progress) {
	if !terminal(os.Stderr) {
		return nil
	}
	p := &progressLine{w: os.Stderr, after: func(d time.Duration, f func()) { time.AfterFunc(d, f) }}
	return p.report
}

func (p *progressLine) report(now driver.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begins := p.current == driver.Progress{}
	p.current = now
	switch {
	case now == driver.Progress{}:
		p.works++
		p.due = false
		if p.shown {
			p.shown = false
			escape.Fprintf(p.w, "%s", escape.Safe("\r\x1b[K"))
		}
	case begins:
		work := p.works
		p.after(quietTime, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.works == work {
				p.due = true
				p.write()
			}
		})
	case p.due && !p.waiting:
		p.waiting = true
		p.after(refreshTime, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.waiting = false
			if p.due {
				p.write()
			}
		})
	}
}

func (p *progressLine) write() {
	p.shown = true
	count := ""
	if p.current.Total > 1 {
		count = fmt.Sprintf(": %d of %d hosts", p.current.Done, p.current.Total)
	}
	escape.Fprintf(p.w, "%s%s%s …", escape.Safe("\r\x1b[K"), p.current.Stage, count)
}
