package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interrupted is the cause of a context that a signal canceled.
type interrupted struct{ os.Signal }

func (i interrupted) Error() string { return fmt.Sprintf("stopped by signal: %v", i.Signal) }

// cleanly runs a function that writes files or waits for a program. The first SIGINT, SIGTERM or
// SIGHUP cancels its context, so that it removes what is unfinished; then the process ends with that signal, as
// the sender expects. A second signal ends the process at once. Commands that only read need
// no such care.
func cleanly(write func(context.Context) error) error {
	var signals []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as by nohup
			signals = append(signals, s)
		}
	}
	if len(signals) == 0 {
		return write(context.Background())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, signals...)
	done := make(chan struct{})
	watched := make(chan os.Signal, 1)
	go func() {
		select {
		case s := <-arrived:
			signal.Stop(arrived)
			cancel(interrupted{s})
			watched <- s
		case <-done:
		}
		close(watched)
	}()
	err := write(ctx)
	close(done)
	s, ended := <-watched
	signal.Stop(arrived)
	cancel(nil)
	if !ended {
		select {
		case s = <-arrived: // after the function had returned
		default:
			return err
		}
	}
	if self, findErr := os.FindProcess(os.Getpid()); findErr == nil && self.Signal(s) == nil {
		time.Sleep(time.Second) // the signal arrives within it
	}
	return err
}
