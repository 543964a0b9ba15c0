// Package revision reads the files of a revision of a git repository.
//
// In: a revision and a path in a work tree. Out: a [Tree] of the files that were committed,
// by the paths that they have on disk.
// It reads only git objects, into memory: it writes nothing, fetches nothing, and runs no
// hook, filter or other program that a repository configures.
package revision
