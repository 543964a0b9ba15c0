// Package folder is the output folder of a compile: the names of its files, its
// manifest, and how it is written.
//
// In: the contents of all files. Out: a folder on disk that holds exactly them,
// exchanged as a whole: a reader, or a crash, sees the old folder or the new one.
// It does not know what the files mean.
package folder
