// Package escape keeps foreign text (comments of rules, names of chains, sets and files,
// messages in policies) from being interpreted where it is printed.
//
// In: any text, and a writer. Out: the text escaped for one destination: terminals and logs,
// Markdown text, Markdown code, JSON, or workflow commands of GitHub. The writers have
// constant formats and escape their arguments, so that no output can forget to. The package
// does not depend on the rest of dockerfw.
package escape
