package folder

import (
	"path/filepath"
	"slices"

	"github.com/dockerfw/dockerfw/parser/files"
)

// SameButInputs separates changes of an output folder that mean something from those that do
// not: of a manifest in which only digests of inputs differ, while all files beside it are the
// same. Then the text of a policy or of an address list has changed, such as a comment, and
// nothing that a host loads. same are the paths of such manifests.
func (f Contents) SameButInputs(dir string, changes []Change) (rest []Change, same []string) {
	for _, c := range changes {
		host := filepath.Dir(c.Path)
		beside := slices.ContainsFunc(changes, func(o Change) bool { return o.Path != c.Path && filepath.Dir(o.Path) == host })
		if !beside && filepath.Base(c.Path) == ManifestFile && c.Kind == changed {
			have, err := files.Read(files.Disk, filepath.Join(dir, c.Path))
			if err == nil && onlyInputsDiffer(have, f[c.Path]) {
				same = append(same, c.Path)
				continue
			}
		}
		rest = append(rest, c)
	}
	return rest, same
}

// onlyInputsDiffer reports whether two manifests are equal except for the digests of inputs of
// the same names.
func onlyInputsDiffer(a, b []byte) bool {
	x, errX := withoutInputDigests(a)
	y, errY := withoutInputDigests(b)
	return errX == nil && errY == nil && x == y
}

func withoutInputDigests(text []byte) (string, error) {
	m, err := ParseManifest(text)
	if err != nil {
		return "", err
	}
	for i := range m.Inputs {
		m.Inputs[i].SHA256 = ""
	}
	file, err := m.File()
	return string(file.Content), err
}
