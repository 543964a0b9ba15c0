// Package driver compiles a policy to the files that its hosts load.
//
// In: the path of a policy, and values for its variables.
// Out: the files of each host, proved to give every packet the verdict of the policy; or
// diagnostics and no file at all.
//
// It runs the stages in order (parser, compiler, emit, proof), for several hosts at a time,
// and joins diagnostics that differ only in the host. It writes nothing to disk and knows
// no rule of the policy language.
package driver
