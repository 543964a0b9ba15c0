package apply

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// A set that is so large that nft needs long to list it is taken from the folder that has it, by the
// digest in its name. All others are listed.
func TestALargeSetIsNotListed(t *testing.T) {
	text := func(set string, elements ...string) string {
		out := "\tset " + set + " {\n\t\ttype ipv4_addr\n\t\tflags interval\n"
		if len(elements) > 0 {
			out += "\t\telements = { " + strings.Join(elements, ",\n\t\t\t     ") + " }\n"
		}
		return out + "\t}\n"
	}
	whole := func(sets ...string) []byte {
		return []byte("table inet dockerfw {\n" + strings.Join(sets, "\n") + "}\n")
	}
	var many []string
	for i := range plan.LargeSet + 1 {
		many = append(many, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	known, err := plan.ParseTable(whole(text("large.0000000a", many...), text("small.0000000a", "192.0.2.1")))
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	run := func(args ...string) ([]byte, error) {
		command := strings.Join(args, " ")
		ran = append(ran, command)
		switch command {
		case "-t list ruleset inet":
			const other = "table inet other {\n\tset small.0000000a {\n\t\ttype ipv4_addr\n\t}\n}\n"
			return []byte(other + string(whole(text("large.0000000a"), text("small.0000000a"))) + other), nil
		case "list set inet dockerfw small.0000000a":
			return whole(text("small.0000000a", "192.0.2.2")), nil
		case "list table inet dockerfw":
			return whole(text("small.0000000a", "192.0.2.3")), nil
		}
		return nil, &hosttool.Error{Tool: "nft", Stderr: "Error: unexpected " + command}
	}
	got, err := ReadTable(run, nil, nil, known)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Object("set", "large.0000000a").Elements); n != len(many) || !slices.Equal(got.Object("set", "small.0000000a").Elements, []string{"192.0.2.2"}) || len(got.Objects) != 2 {
		t.Errorf("%d elements, %+v, with %q", n, got.Object("set", "small.0000000a"), ran)
	}
	ran = nil
	if got, err = ReadTable(run, nil); err != nil || got.Object("set", "small.0000000a").Elements[0] != "192.0.2.3" || len(ran) != 1 {
		t.Errorf("%v, %+v, with %q", err, got, ran)
	}
	// Where the elements on the host were read, another one is noticed.
	for _, first := range []string{many[0], "192.0.2.9"} {
		elements := append([]string{first}, many[1:]...)
		read, diags := nft.ParseText(whole(text("large.0000000a", elements...)), "host")
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		answers := func(args ...string) ([]byte, error) {
			if strings.Join(args, " ") == "list table inet dockerfw" {
				return whole(text("large.0000000a", elements...)), nil
			}
			return run(args...)
		}
		got, err := ReadTable(answers, &snapshot.Host{NFT: read}, known)
		if err != nil || got.Object("set", "large.0000000a").Elements[0] != first {
			t.Errorf("%v; the set was not listed, although it begins with %s", err, first)
		}
	}
	// A host without the table.
	for _, known := range [][]*plan.Table{nil, {known}} {
		got, err = ReadTable(func(...string) ([]byte, error) {
			if known != nil {
				return []byte("table inet other {\n}\n"), nil
			}
			return nil, &hosttool.Error{Tool: "nft", Stderr: "Error: No such file or directory"}
		}, nil, known...)
		if got != nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := ReadTable(func(...string) ([]byte, error) { return []byte("table inet dockerfw {\nno table\n"), nil }, nil); err == nil {
		t.Error("what is no table was read")
	}
}
