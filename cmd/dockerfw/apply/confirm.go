package apply

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// ExpireFlag is the hidden flag of dockerfw rollback for the process that waits for a confirmation;
// its value is the token of the change.
const ExpireFlag = "expire"

// startTimer records the change and starts the process that rolls it back unless it is confirmed.
// The process starts before anything is loaded, in case this run is killed; it is detached from
// the terminal.
func (l *load) startTimer() error {
	before, err := json.Marshal(l.before)
	if err != nil {
		return err
	}
	after, err := json.Marshal(l.version)
	if err != nil {
		return err
	}
	l.Deadline = time.Now().Add(time.Duration(l.options.Confirm) * time.Second)
	change := store.Change{
		Folder: l.Folder, Digest: folder.Digest(l.files[folder.ManifestFile]), Backend: string(l.Backend),
		Token: rand.Text(), Deadline: l.Deadline,
	}
	if err := l.lock.SetUnconfirmed(change.Digest); err != nil {
		return err
	}
	if err := l.lock.Begin(store.Pending{Change: change, Old: before, New: after, Files: l.files}); err != nil {
		return err
	}
	messages, err := l.log()
	if err != nil {
		return err
	}
	defer messages.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the process that waits for the confirmation cannot be started: %w", err)
	}
	cmd := exec.Command(self, "rollback", "--"+ExpireFlag, change.Token)
	cmd.Stdout, cmd.Stderr = messages, messages
	cmd.Dir = "/"
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the process that waits for the confirmation cannot be started: %w", err)
	}
	return cmd.Process.Release()
}

// Expire waits until the change with a token has been confirmed or rolled back, or its time is
// over, and rolls it back then. It tries again every 5 seconds until that succeeds.
func (a *Applier) Expire(token string) error {
	var end, latest time.Time // latest is by the clock that nobody sets: the other one may be set back meanwhile
	for {
		change, err := a.store.Waiting()
		switch {
		case err != nil: // the deadline that was read before counts
		case change == nil || change.Token != token:
			return nil
		case !change.Deadline.Equal(end):
			end = change.Deadline
			latest = time.Now().Add(time.Until(end))
		}
		if left := min(time.Until(end), time.Until(latest)); left > 0 {
			time.Sleep(min(time.Second, left))
			continue
		}
		done, err := a.rollback(token, end)
		if err != nil {
			a.warn("%v", err)
			time.Sleep(5 * time.Second)
		}
		if done {
			a.warn("not confirmed in time: rolling back to the previous rules")
			a.warn("rolled back to the previous rules and sets")
		}
	}
}
