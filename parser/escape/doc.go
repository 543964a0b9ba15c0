// Package escape keeps text that others wrote (comments of rules, names of chains, sets
// and files, messages of policies) from being live where it is printed. Each place that
// text goes to has one escape here: terminals and logs, Markdown text, Markdown code,
// JSON, workflow commands of GitHub. The writers take a constant format and escape their
// arguments, so that a new output cannot forget to. The package knows nothing of dockerfw.
package escape
