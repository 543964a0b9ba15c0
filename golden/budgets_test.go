package golden

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/budget"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func TestTheDocsListTheBudgets(t *testing.T) {
	const mib = 1 << 20
	limits := [][]int{
		{budget.MaxText / mib},
		{budget.MaxDepth},
		{budget.MaxNumber},
		{parser.MaxFileValue / mib},
		{budget.MaxElements},
		{budget.MaxBytes / mib},
		{budget.MaxEntries},
		{budget.MaxRules},
		{budget.MaxSteps},
		{parser.MaxLocalsInARow},
		{iptables.MaxJumps},
		{budget.MaxYAML / mib, budget.MaxAliases},
		{diag.MaxPrinted},
	}
	rows := regexp.MustCompile(`(?m)^\| ([^|]*[a-z)][^|]*) \| ([0-9][0-9, MiB]*) \|$`).FindAllStringSubmatch(section(t, "## Budgets"), -1)
	if len(rows) != len(limits) {
		t.Fatalf("docs/language.md: %d rows of budgets, want %d: %q", len(rows), len(limits), rows)
	}
	for i, row := range rows {
		var got []int
		for _, number := range strings.Split(row[2], ", ") {
			n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSuffix(number, " MiB"), ",", ""))
			if err != nil {
				t.Errorf("docs/language.md: %s: %v", row[1], err)
			}
			got = append(got, n)
		}
		if !slices.Equal(got, limits[i]) {
			t.Errorf("docs/language.md: %s: at most %v, and the program has %v", row[1], got, limits[i])
		}
	}
}
