package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// markdown returns the machine, the chart, the table, and what the table shows about growth.
func (m *measurements) markdown(chart string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %s processors, %s memory; %s, Linux %s.\n", m.setting("cpu"), m.setting("processors"), memory(m.setting("memory")), m.setting("os"), m.setting("kernel"))
	var there, missing []string
	for _, p := range peers {
		if version := m.settings[p]; version == "" || version == "missing" {
			missing = append(missing, p)
		} else {
			there = append(there, p+" "+version)
		}
	}
	fmt.Fprintf(&out, "Compared with %s.", cmp.Or(strings.Join(there, ", "), "nothing"))
	if len(missing) > 0 {
		fmt.Fprintf(&out, " Not there: %s.", strings.Join(missing, ", "))
	}
	out.WriteString("\n")
	if m.others >= 10 {
		fmt.Fprintf(&out, "Other processes took %.0f %% of the processors meanwhile: elapsed times are longer than on an idle machine.\n", m.others)
	}
	fmt.Fprintf(&out, "\n![CPU time by number of rules, entries and hosts](%s)\n\n", filepath.Base(chart))

	out.WriteString("| command | size | CPU s | elapsed s | MB | growth |")
	for _, p := range peers {
		fmt.Fprintf(&out, " / %s |", p)
	}
	fmt.Fprintf(&out, "\n|---|--:|--:|--:|--:|--:|%s\n", strings.Repeat("--:|", len(peers)))
	var steep []string
	for _, u := range units {
		for _, s := range u.series {
			results := m.series[u.name+"/"+s.name]
			for i, r := range results {
				size := grouped(r.size) + " " + u.of(r.size)
				exponent := missingCell
				if i > 0 {
					g := growth(results[i-1], r)
					exponent = strconv.FormatFloat(g, 'f', 2, 64)
					if g > steepest {
						exponent = "**" + exponent + "**"
						steep = append(steep, fmt.Sprintf("%s of %s (%.2f)", s.description, size, g))
					}
				}
				fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |", s.description, size, significant(r.cpu()), significant(r.metrics["s/run"]), grouped(int(r.metrics["MB"]+0.5)), exponent)
				for _, p := range peers {
					cell := missingCell
					if ratio, ran := r.metrics["cpu/"+p]; ran {
						cell = significant(ratio)
					}
					fmt.Fprintf(&out, " %s |", cell)
				}
				out.WriteString("\n")
			}
		}
	}
	if len(steep) == 0 {
		fmt.Fprintf(&out, "\nNo growth is above %.1f.\n", steepest)
	} else {
		fmt.Fprintf(&out, "\nGrowth is above %.1f for %s.\n", steepest, strings.Join(steep, "; "))
	}
	return out.String()
}

const missingCell = "–"

func (m *measurements) setting(key string) string { return cmp.Or(m.settings[key], "unknown "+key) }

// memory returns a number of kB as /proc/meminfo has it in GB.
func memory(text string) string {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return text
	}
	return fmt.Sprintf("%.0f GB", kilobytes*1024/1e9)
}

// significant returns a number with two significant digits, and all digits before the point.
func significant(x float64) string {
	if x >= 9.95 {
		return grouped(int(x + 0.5))
	}
	decimals := 1
	for limit := 0.995; x < limit && decimals < 9; limit /= 10 {
		decimals++
	}
	return strconv.FormatFloat(x, 'f', decimals, 64)
}

// grouped returns a number with commas between the thousands.
func grouped(n int) string {
	digits := []byte(strconv.Itoa(n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}
