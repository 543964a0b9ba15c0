// Package emit makes the files that a host loads.
//
// In: the tables that a back end made of the ordered rule IR, and what they were compiled
// from. Out: the files of one host, byte for byte the same for the same input.
// What a back end can express is the business of its package below; how files become a
// folder on disk is that of package folder.
package emit
