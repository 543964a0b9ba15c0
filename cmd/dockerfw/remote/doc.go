// Package remote runs programs on another host through the user's own ssh.
//
// In: the address ssh://[user@]host[:port], and a script that runs programs with ask. Out: for
// each program an [Answer]: what it printed, and its exit status; or an error with what ssh
// reported. One ssh is started, and nothing is written on the other host.
// What comes back is not trusted: it is bounded, and no output of a program can be taken for
// that of another. The package does not interpret it.
package remote
