package packet

import (
	"fmt"
)

// check finds jumps to chains that do not exist and loops of jumps, which iptables
// refuses to load.
func (p *Program) check() error {
	if len(p.Chains) == 0 {
		return fmt.Errorf("a program without chains")
	}
	if !p.Default.final() {
		return fmt.Errorf("the default of a program cannot be %s", p.Default)
	}
	const unseen, open, done = 0, 1, 2
	seen := make([]int, len(p.Chains))
	var visit func(i int) error
	visit = func(i int) error {
		switch seen[i] {
		case open:
			return fmt.Errorf("chain %s jumps back to itself", p.Chains[i].Name)
		case done:
			return nil
		}
		seen[i] = open
		for _, r := range p.Chains[i].Rules {
			if !r.Verdict.calls() {
				continue
			}
			j := p.chain(r.Verdict.Chain)
			if j < 0 {
				return fmt.Errorf("chain %s jumps to %s, which does not exist", p.Chains[i].Name, r.Verdict.Chain)
			}
			if err := visit(j); err != nil {
				return err
			}
		}
		seen[i] = done
		return nil
	}
	return visit(0)
}

// chain returns the index of a chain by its name, -1 if there is none.
func (p *Program) chain(name string) int {
	if p.index == nil || p.indexed > len(p.Chains) {
		p.index, p.indexed = map[string]int{}, 0
	}
	for ; p.indexed < len(p.Chains); p.indexed++ {
		if _, twice := p.index[p.Chains[p.indexed].Name]; !twice {
			p.index[p.Chains[p.indexed].Name] = p.indexed
		}
	}
	if i, ok := p.index[name]; ok {
		return i
	}
	return -1
}
