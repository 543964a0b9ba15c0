// Package folder writes the output folder of a compile, and defines the names of its files
// and its manifest.
//
// In: the contents of all files. Out: a folder on disk with exactly these files. It is
// exchanged as a whole: readers see either the old folder or the new one, also after
// a crash. The package does not interpret the files.
package folder
