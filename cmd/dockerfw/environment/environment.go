// Package environment removes variables that libraries read when the program starts, so that
// nothing of the environment influences a run but the variables that are documented.
//
// In: the environment. Out: the same without these variables. It has to be initialized before
// the libraries: Go initializes packages whose imports are ready in the order of their paths, and
// this one imports nothing but os.
package environment

import "os"

// unused are variables that only help to debug a library: NLDEBUG makes mdlayher/netlink print each
// message on standard error, and panic at a value that it does not know.
var unused = []string{"NLDEBUG"}

func init() {
	for _, name := range unused {
		_ = os.Unsetenv(name) // only fails for names that are not valid
	}
}
