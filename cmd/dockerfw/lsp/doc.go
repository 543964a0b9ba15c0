// Package lsp is a language server for policies: editors start it and talk to it in the
// Language Server Protocol (version 3.16) on standard input and output.
//
// In: the messages of an editor, with the text of policies that are not saved yet.
// Out: diagnostics, completion, hover, definitions, references, renaming, formatting, symbols
// and semantic tokens. Diagnostics and the emitted rules in a hover are those of the driver,
// so that an editor and dockerfw check never disagree; what a policy may contain is
// parser.Schema. It writes no files and runs no program.
package lsp
