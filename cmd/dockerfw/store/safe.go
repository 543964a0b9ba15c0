package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/parser/files"
)

// UnsafeError is the error of a path that others than its owner, normally root, can change.
type UnsafeError struct {
	Path string
	// Why completes a sentence that begins with the path.
	Why string
	// Fix is the command that fixes it.
	Fix string
}

func (e *UnsafeError) Error() string {
	if e.Fix == "" {
		return e.Path + " " + e.Why
	}
	return e.Path + " " + e.Why + ". Run: " + e.Fix
}

// changeable returns why others than the user can change a file, "" if they cannot. Root can always.
func changeable(info fs.FileInfo, user int) string {
	switch o := owner(info); {
	case o != user && o != 0:
		return fmt.Sprintf("belongs to user %d, not to %s", o, userName(user))
	case info.Mode()&fs.ModeSymlink != 0:
		return "" // its mode has no meaning
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("can be written by others than its owner (mode %04o)", info.Mode().Perm())
	}
	return ""
}

func userName(uid int) string {
	if uid == 0 {
		return "root"
	}
	return fmt.Sprint(uid)
}

// checkPrivate returns an error unless a directory of a store, its parents included, can be changed
// by its owner only.
func checkPrivate(dir string, user int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return cannotWrite(dir, err)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &UnsafeError{dir, "is a symbolic link, not a directory", shell.Command("rm", dir)}
	case !info.IsDir():
		return &UnsafeError{Path: dir, Why: "is not a directory"} // it may be any file: no command deletes it
	}
	if why := changeable(info, user); why != "" {
		return &UnsafeError{dir, why, shell.Command("chown", userName(user)+":", dir) + " && " + shell.Command("chmod", "0700", dir)}
	}
	_, err = resolve(dir, user)
	if u := (*UnsafeError)(nil); errors.As(err, &u) {
		return &UnsafeError{u.Path, u.Why, shell.Command("chown", "-h", userName(user)+":", u.Path) + " && " + shell.Command("chmod", "go-w", u.Path)}
	}
	return err
}

// maxLinks bounds the symbolic links in a path; Linux allows 40 (path_resolution(7)).
const maxLinks = 40

// resolve returns the absolute path of a directory without symbolic links. Nobody but the user and
// root can change where the path leads: every directory and link on the way is safe. In a directory
// with the sticky bit, such as /tmp, others cannot rename what is not theirs.
func resolve(path string, user int) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	done, links := "/", 0
	if err := checkAncestor(done, user); err != nil {
		return "", err
	}
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done)
			continue
		}
		next := filepath.Join(done, name)
		info, err := os.Lstat(next)
		if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
			return "", fmt.Errorf("%s: %w", next, failed.Err) // without the name of the system call
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if len(rest) > 0 {
				if err := checkAncestor(next, user); err != nil {
					return "", err
				}
			}
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: path, Err: errors.New("too many symbolic links")}
		}
		if why := changeable(info, user); why != "" {
			return "", &UnsafeError{next, why, ""}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(strings.TrimRight(target, "/"), "/"), rest...)
	}
	return done, nil
}

// checkAncestor checks a directory on the way to another.
func checkAncestor(dir string, user int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "resolve", Path: dir, Err: errors.New("not a directory")}
	}
	o := owner(info)
	sticky := info.Mode()&fs.ModeSticky != 0 && (o == user || o == 0)
	if why := changeable(info, user); why != "" && !sticky {
		return &UnsafeError{Path: dir, Why: why} // the caller adds a fix
	}
	return nil
}

// checkFolder returns an error unless a compiled folder or a file in it can be changed by the
// user only.
func checkFolder(path string, info fs.FileInfo, dir string, user int) error {
	if why := changeable(info, user); why != "" {
		return &UnsafeError{path, why, shell.Command("chown", "-R", userName(user)+":", dir) + " && " + shell.Command("chmod", "-R", "go-w", dir)}
	}
	if path == dir {
		return nil
	}
	return files.Check(path, info)
}
