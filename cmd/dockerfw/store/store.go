package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Variables of the environment, and the directories without them.
const (
	RunVariable   = "DOCKERFW_RUN"
	StateVariable = "DOCKERFW_STATE"
	DefaultRun    = "/run/dockerfw"
	DefaultState  = "/var/lib/dockerfw"
)

// Store is what dockerfw keeps on a host. A Store only reads; what writes are the methods of
// [Lock].
type Store struct {
	// Run and State are the absolute paths of the directories.
	Run, State string

	owner int // the user that everything must belong to
	disk  disk
}

// Open returns the store of this host, in the directories of the environment. It creates them. The
// error is a [*WriteError] if it cannot, and an [*UnsafeError] if others than root could have
// changed what is in them.
func Open() (*Store, error) {
	if !supported {
		return nil, errors.New("loading rules is possible on Linux only")
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("root is required")
	}
	var dirs []string
	for _, d := range [][2]string{{RunVariable, DefaultRun}, {StateVariable, DefaultState}} {
		dir := os.Getenv(d[0])
		if dir == "" {
			dir = d[1]
		}
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("%s=%s: write an absolute path", d[0], dir)
		}
		dirs = append(dirs, filepath.Clean(dir))
	}
	return OpenAt(dirs[0], dirs[1], 0)
}

// OpenAt is [Open] for directories of a user, by absolute paths.
func OpenAt(run, state string, owner int) (*Store, error) {
	s := &Store{Run: run, State: state, owner: owner}
	for _, dir := range []string{run, state} {
		if err := s.ensure(dir); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ensure creates a directory if it does not exist, and checks that only its owner can change
// it.
func (s *Store) ensure(dir string) error {
	_, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		// The mode of the parents is as usual; only the directory itself is private.
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return cannotWrite(dir, err)
		}
		if err := s.disk.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return cannotWrite(dir, err)
		}
	}
	return checkPrivate(dir, s.owner)
}

// List is a list of names of sets.
type List string

// The lists of names.
const (
	// Made are the sets that dockerfw created or may have created before it was killed.
	Made List = "made"
	// Unmanaged are the unmanaged sets of the version in force.
	Unmanaged List = "theirs"
	// UnmanagedNext are the unmanaged sets of the version that is being loaded.
	UnmanagedNext List = "theirs.next"
)

// Names returns the names in a list, sorted.
func (s *Store) Names(list List) ([]string, error) {
	text, err := read(filepath.Join(s.Run, string(list)))
	if err != nil {
		return nil, err
	}
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(text))))), nil
}

// SetNames replaces the names in a list. Without names the list is removed.
func (l *Lock) SetNames(list List, names []string) error {
	path := filepath.Join(l.Run, string(list))
	if len(names) == 0 {
		return cannotWrite(l.Run, l.disk.remove(path))
	}
	var text strings.Builder
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if fields := strings.Fields(name); len(fields) != 1 || fields[0] != name {
			return fmt.Errorf("%q cannot be the name of a set", name)
		}
		text.WriteString(name + "\n")
	}
	return cannotWrite(l.Run, l.disk.replace(path, []byte(text.String())))
}

// Backend returns the tables that were used last, "nft" or "legacy". It is "" if that is not known
// or the record is damaged.
func (s *Store) Backend() (string, error) {
	text, err := read(filepath.Join(s.State, "backend"))
	if backend := strings.TrimSpace(string(text)); isBackend(backend) {
		return backend, err
	}
	return "", err
}

// SetBackend records the tables that are used, "nft" or "legacy".
func (l *Lock) SetBackend(backend string) error {
	if !isBackend(backend) {
		return fmt.Errorf("%q is no backend of iptables", backend)
	}
	return cannotWrite(l.State, l.disk.replace(filepath.Join(l.State, "backend"), []byte(backend+"\n")))
}

func isBackend(s string) bool { return s == "nft" || s == "legacy" }

// Unconfirmed returns the SHA-256 of the manifest, in hexadecimal, of the version that was loaded
// and not confirmed, also before a reboot. It is "" if there is none.
func (s *Store) Unconfirmed() (string, error) {
	text, err := read(filepath.Join(s.State, "unconfirmed"))
	digest, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ") // apply.sh wrote the output of sha256sum
	return digest, err
}

// SetUnconfirmed records the version that waits for confirmation.
func (l *Lock) SetUnconfirmed(digest string) error {
	return cannotWrite(l.State, l.disk.replace(filepath.Join(l.State, "unconfirmed"), []byte(digest+"\n")))
}

// ClearUnconfirmed records that no version waits for confirmation.
func (l *Lock) ClearUnconfirmed() error {
	return cannotWrite(l.State, l.disk.remove(filepath.Join(l.State, "unconfirmed")))
}

// InForce is the version in force.
type InForce struct {
	// Folder is the path that was loaded, and Digest the SHA-256 of its manifest in hexadecimal.
	Folder string `json:"folder"`
	Digest string `json:"digest"`
	// Policy are the names of the policy's files, Host is that of the host, Version the version of
	// dockerfw that compiled it.
	Policy  []string `json:"policy"`
	Host    string   `json:"host,omitempty"`
	Version string   `json:"version"`
	// Target is "nftables" for a folder of that target, and "" for iptables, whose tables are of the kind
	// Backend.
	Target  string `json:"target,omitempty"`
	Backend string `json:"backend"`
	// Since is when loading succeeded.
	Since time.Time `json:"since"`
}

const inForceFile = "inforce.json"

// InForce returns the version that was loaded last since the host started, nil if there is none.
func (s *Store) InForce() (*InForce, error) {
	var v InForce
	found, err := readJSON(filepath.Join(s.Run, inForceFile), &v)
	if !found || err != nil {
		return nil, err
	}
	return &v, nil
}

// SetInForce records a version that was loaded.
func (l *Lock) SetInForce(v InForce) error {
	text, err := formatJSON(v)
	if err != nil {
		return err
	}
	return cannotWrite(l.Run, l.disk.replace(filepath.Join(l.Run, inForceFile), text))
}

// Forget removes everything that is about a version that was loaded, after its rules were removed:
// the pending change, the good copy, the version in force, the backend, and the names of
// unmanaged sets. The list [Made] stays.
func (l *Lock) Forget() error {
	if err := l.Drop(); err != nil {
		return err
	}
	for _, name := range []string{inForceFile, string(Unmanaged), string(UnmanagedNext)} {
		if err := cannotWrite(l.Run, l.disk.remove(filepath.Join(l.Run, name))); err != nil {
			return err
		}
	}
	// The copy after the file that leads to it.
	for _, name := range []string{"good", "unconfirmed", "backend"} {
		if err := cannotWrite(l.State, l.disk.remove(filepath.Join(l.State, name))); err != nil {
			return err
		}
	}
	return cannotWrite(l.State, l.removeCopies(""))
}

func sortedNames(contents map[string][]byte) []string {
	return slices.Sorted(maps.Keys(contents))
}
