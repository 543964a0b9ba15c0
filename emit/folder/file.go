package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// File is one file of a compiled folder.
type File struct {
	Name    string
	Content []byte
	// Large is the content of a file that is too large for memory; Content is then nil.
	Large *Large
	// digest is the SHA-256 of Content if it was kept.
	digest *[sha256.Size]byte
}

// Large is text that is printed each time it is needed, and never in memory as a whole.
type Large struct {
	print        func(io.Writer) error
	digest, body [sha256.Size]byte
}

// NewLarge returns the text that print prints, the same each time. It prints it once, for its
// digests.
func NewLarge(print func(io.Writer) error) (*Large, error) {
	whole, body := sha256.New(), &afterLine{sum: sha256.New()}
	if err := print(io.MultiWriter(whole, body)); err != nil {
		return nil, err
	}
	return &Large{print: print, digest: [sha256.Size]byte(whole.Sum(nil)), body: [sha256.Size]byte(body.sum.Sum(nil))}, nil
}

// errPrintedTwice means that what was proved is not what is written.
var errPrintedTwice = errors.New("printing it again gave other text")

// Print prints the text. It returns an error if that differs from what was printed before.
func (l *Large) Print(w io.Writer) error {
	sum := sha256.New()
	if err := l.print(io.MultiWriter(sum, w)); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != l.digest {
		return errPrintedTwice
	}
	return nil
}

// BodyDigest returns the SHA-256 of the text after its first line.
func (l *Large) BodyDigest() [sha256.Size]byte { return l.body }

// afterLine hashes what follows the first line.
type afterLine struct {
	sum   hash.Hash
	found bool
}

// Write hashes b, as far as it is not the first line.
func (a *afterLine) Write(b []byte) (int, error) {
	rest := b
	if !a.found {
		_, rest, a.found = bytes.Cut(b, []byte("\n"))
	}
	_, err := a.sum.Write(rest)
	return len(b), err
}

// write writes the content.
func (f File) write(w io.Writer) error {
	if f.Large != nil {
		if err := f.Large.Print(w); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		return nil
	}
	_, err := w.Write(f.Content)
	return err
}

// is reports whether f has a content.
func (f File) is(content io.Reader) (bool, error) {
	if f.Large != nil {
		return hasDigest(content, f.Large.digest)
	}
	rest := f.Content
	buffer := make([]byte, min(len(rest)+1, 64<<10))
	for {
		n, err := content.Read(buffer)
		if !bytes.HasPrefix(rest, buffer[:n]) {
			return false, nil
		}
		rest = rest[n:]
		if err == io.EOF {
			return len(rest) == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// hasDigest reports whether a content has the SHA-256 sum.
func hasDigest(content io.Reader, sum [sha256.Size]byte) (bool, error) {
	h := sha256.New()
	if _, err := io.Copy(h, content); err != nil {
		return false, err
	}
	return [sha256.Size]byte(h.Sum(nil)) == sum, nil
}

// sum returns the SHA-256 of the content.
func (f File) sum() [sha256.Size]byte {
	switch {
	case f.Large != nil:
		return f.Large.digest
	case f.digest != nil:
		return *f.digest
	}
	return sha256.Sum256(f.Content)
}

// Digest returns the SHA-256 of the content in hexadecimal.
func (f File) Digest() string {
	sum := f.sum()
	return hex.EncodeToString(sum[:])
}

// KeepDigest is Digest for a file that does not change any more: it and its copies keep the result.
func (f *File) KeepDigest() string {
	sum := f.sum()
	f.digest = &sum
	return f.Digest()
}
