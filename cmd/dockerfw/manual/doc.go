// Package manual writes the help of commands: a screen, the whole text, and manual pages.
//
// In: cobra's tree of commands, with their flags, texts and examples. Out: text for a terminal of 80
// columns and 24 lines, text of any length, and roff for man(1). All of them have the same source, so
// that none is out of date. It does not know what the commands do.
package manual
