package ir

import "fmt"

// OrderError says that two rules of a chain stand in the wrong order.
type OrderError struct {
	Chain         string
	First, Second *Rule
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("chain %s: %q of phase %s stands before %q of phase %s",
		e.Chain, e.First.Comment(), e.First.Phase, e.Second.Comment(), e.Second.Phase)
}

// CheckOrder checks the insertion-order invariant: within a chain no rule stands
// before one of an earlier phase. It returns the first violation, or nil.
func (p *Program) CheckOrder() *OrderError {
	for _, chain := range p.Chains {
		for i := 1; i < len(chain.Rules); i++ {
			if chain.Rules[i-1].Phase > chain.Rules[i].Phase {
				return &OrderError{Chain: chain.Name, First: chain.Rules[i-1], Second: chain.Rules[i]}
			}
		}
	}
	return nil
}
