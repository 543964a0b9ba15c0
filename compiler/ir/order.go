package ir

import "fmt"

// OrderError reports two rules of a list in the wrong order.
type OrderError struct {
	// First and Second are the indices of the rules, FirstID and SecondID the rules.
	First, Second     int
	FirstID, SecondID RuleID
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("%q of phase %s is before %q of phase %s",
		e.FirstID.Comment(), e.FirstID.Phase, e.SecondID.Comment(), e.SecondID.Phase)
}

// CheckOrder checks the insertion-order invariant on the rules of one scope: no rule is
// before one of an earlier phase. It returns the first violation, or nil.
func CheckOrder(rules []RuleID) *OrderError {
	for i := 1; i < len(rules); i++ {
		if rules[i-1].Phase > rules[i].Phase {
			return &OrderError{i - 1, i, rules[i-1], rules[i]}
		}
	}
	return nil
}
