// Package findings writes diagnostics in the formats that other programs read.
//
// In: diagnostics, and the bytes of the files that they are about. Out: JSON, SARIF for
// code hosts, workflow commands of GitHub, or code quality reports of GitLab. Text for people is package diag's.
// It may not know what the diagnostics mean.
package findings
