package diag

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Internal returns the error of a fault in dockerfw itself, which no policy should be
// able to cause. Nothing is written when there is one.
func Internal(rng hcl.Range, format string, args ...any) *hcl.Diagnostic {
	return New(CodeInternal, rng, "internal error",
		fmt.Sprintf("This is a fault of dockerfw, not of the policy; nothing was written. Please report it: %s.", fmt.Sprintf(format, args...)))
}
