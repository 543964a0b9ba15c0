// Package escape prevents that foreign text (comments of rules, names of chains, sets and
// files, messages in policies) is interpreted where it is printed. There is one escape for
// each destination: terminals and logs, Markdown text, Markdown code, JSON, workflow
// commands of GitHub. The writers have constant formats and escape their arguments, so that
// no output can forget to. The package does not depend on the rest of dockerfw.
package escape
