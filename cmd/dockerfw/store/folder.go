package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/emit/folder"
)

const (
	// maxFolder bounds the bytes of a compiled folder. A set with a million entries has 25 MB.
	maxFolder = 1 << 29
	// maxListed bounds the files or hosts that an error lists.
	maxListed = 10
)

// ReadFolder returns the files of a compiled folder for loading: its manifest.json and the files
// that it lists, with the path of the folder without symbolic links. Each file is read once, and its
// digest is that of the bytes returned.
//
// It is an [*UnsafeError] if anyone but the user and root can change the folder, a file in it, or a
// directory or symbolic link on the way to it, and a [*DamagedError] if files are missing or not as
// they were compiled. Other errors: there is no manifest, or the folder is that of a fleet with a
// folder for each host.
func ReadFolder(path string, user int) (contents map[string][]byte, resolved string, err error) {
	if !supported {
		return nil, "", errors.New("loading rules is possible on Linux only")
	}
	dir, err := resolve(path, user)
	if err != nil {
		return nil, "", copyAdvice(path, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, "", err
	}
	if !info.IsDir() {
		return nil, "", fmt.Errorf("%s is not a folder. A policy is compiled to one first: dockerfw compile POLICY -o FOLDER", path)
	}
	if err := checkFolder(dir, info, dir, user); err != nil {
		return nil, "", err
	}
	budget := int64(maxFolder)
	text, err := readFile(dir, folder.ManifestFile, user, &budget)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", noManifest(path, dir)
	}
	if err != nil {
		return nil, "", err
	}
	manifest, err := folder.ParseManifest(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if len(manifest.Files) == 0 {
		return nil, "", fmt.Errorf("%s lists no files", filepath.Join(path, folder.ManifestFile))
	}
	contents = map[string][]byte{folder.ManifestFile: text}
	damaged := &DamagedError{Path: path}
	for _, f := range manifest.Files {
		if _, twice := contents[f.Name]; twice || f.Name != filepath.Base(f.Name) || !filepath.IsLocal(f.Name) || f.Name == "." {
			return nil, "", fmt.Errorf("%s lists a file %q, which no compile writes", filepath.Join(path, folder.ManifestFile), f.Name)
		}
		content, err := readFile(dir, f.Name, user, &budget)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			damaged.Names = append(damaged.Names, f.Name)
			damaged.missing = append(damaged.missing, f.Name)
			continue
		case err != nil:
			return nil, "", err
		case folder.Digest(content) != f.SHA256:
			damaged.Names = append(damaged.Names, f.Name)
			continue
		}
		contents[f.Name] = content
	}
	if len(damaged.Names) > 0 {
		damaged.Intact = contents
		return nil, "", damaged
	}
	return contents, dir, nil
}

// DamagedError is the error of a compiled folder that is not as it was compiled.
type DamagedError struct {
	Path string
	// Names are the files that are changed or missing.
	Names []string
	// Intact are the contents of the other files, with the manifest.
	Intact map[string][]byte

	missing []string
}

func (e *DamagedError) Error() string {
	wrong := slices.Clone(e.Names)
	for i, name := range wrong {
		if slices.Contains(e.missing, name) {
			wrong[i] += " (missing)"
		}
	}
	return fmt.Sprintf("%s was changed after it was compiled: %s. Compile the policy again, or copy the folder again", e.Path, enumeration(wrong))
}

// readFile reads a file of a folder. What was checked is what is read: the file is open.
func readFile(dir, name string, user int, budget *int64) ([]byte, error) {
	path := filepath.Join(dir, name)
	// Before it is opened: opening a device may have effects.
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, &UnsafeError{Path: path, Why: "is a symbolic link, not a regular file"}
	}
	if err := checkFolder(path, info, dir, user); err != nil {
		return nil, err
	}
	f, err := openNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := checkFolder(path, info, dir, user); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, *budget+1))
	if err != nil {
		return nil, err
	}
	if *budget -= int64(len(content)); *budget < 0 {
		return nil, fmt.Errorf("%s has more than %d MiB", dir, maxFolder>>20)
	}
	return content, nil
}

// copyAdvice completes the error of a path on the way to a folder: changing the owner of the home
// directory of somebody would be a bad advice.
func copyAdvice(path string, err error) error {
	var u *UnsafeError
	if !errors.As(err, &u) || u.Fix != "" {
		return err
	}
	to := filepath.Join("/etc/dockerfw.d", filepath.Base(filepath.Clean(path)))
	return &UnsafeError{
		u.Path, u.Why + ", so " + path + " could be exchanged",
		"mkdir -p /etc/dockerfw.d && " + shell.Command("cp", "-rT", path, to) + ", and load " + shell.Word(to),
	}
}

// noManifest returns the error about a folder without a manifest, which may be that of a fleet.
func noManifest(path, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var hosts []string
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(dir, e.Name(), folder.ManifestFile)); err == nil {
			hosts = append(hosts, filepath.Join(path, e.Name()))
		}
	}
	if len(hosts) == 0 {
		return fmt.Errorf("%s has no %s: it is not a compiled folder", path, folder.ManifestFile)
	}
	return fmt.Errorf("%s has a folder for each host; load the one of this host: %s", path, enumeration(hosts))
}

// enumeration returns words with commas, the first few in full.
func enumeration(words []string) string {
	text := strings.Join(words[:min(maxListed, len(words))], ", ")
	if more := len(words) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
