package apply

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// ReadTable returns table inet dockerfw of a host, nil if it does not exist. run runs nft, which
// prints it.
//
// nft needs over a minute to list a set of a million elements. Such a set is not listed once more if one of the
// known tables has it with the elements of host, where they are known, or else by name, which has their digest.
// host may be nil.
func ReadTable(run func(args ...string) ([]byte, error), host *snapshot.Host, known ...*plan.Table) (*plan.Table, error) {
	large := map[string]*plan.Object{}
	for _, t := range known {
		for _, s := range t.Sets() {
			if len(s.Elements) > plan.LargeSet && s.Managed() && !host.HasOtherElements(s) {
				large[s.Name] = s
			}
		}
	}
	list := []string{"list", "table", "inet", "dockerfw"}
	if len(large) > 0 {
		// Of a single table, nft 1.0.6 reads the elements even where it does not print them.
		list = []string{"-t", "list", "ruleset", "inet"}
	}
	text, err := run(list...)
	if len(large) > 0 {
		text = ofTable(text)
	}
	switch {
	case isMissing(err), err == nil && len(text) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	out, err := plan.ParseTable(text)
	if err != nil {
		return nil, fmt.Errorf("nft list table inet dockerfw: %w", err)
	}
	if len(large) == 0 {
		return out, nil
	}
	for _, o := range out.Objects {
		if s := large[o.Name]; s != nil && o.Kind == "set" {
			o.Elements = s.Elements
			continue
		}
		if o.Kind != "set" && o.Kind != "map" {
			continue
		}
		text, err := run("list", o.Kind, "inet", "dockerfw", o.Name)
		if err != nil {
			return nil, err
		}
		one, err := plan.ParseTable(text)
		if err != nil {
			return nil, fmt.Errorf("nft list %s inet dockerfw %s: %w", o.Kind, o.Name, err)
		}
		if listed := one.Object(o.Kind, o.Name); listed != nil {
			o.Elements = listed.Elements
		}
	}
	return out, nil
}

// ofTable is the part of a list of tables that is about the table; nil if it is not in the list.
func ofTable(list []byte) []byte {
	const head, end = "\ntable inet dockerfw {\n", "\n}\n"
	text := append([]byte("\n"), list...)
	from := bytes.Index(text, []byte(head))
	if from < 0 {
		return nil
	}
	text = text[from+1:]
	to := bytes.Index(text, []byte(end))
	if to < 0 {
		return text
	}
	return text[:to+len(end)]
}

// isMissing reports whether nft fails because there is no such table, or because it is not installed,
// which has created none then.
func isMissing(err error) bool {
	var tool *hosttool.Error
	return err != nil && (errors.Is(err, snapshot.ErrNoTool) || errors.As(err, &tool) && strings.Contains(tool.Stderr, "No such file or directory"))
}

// nft runs nft on this host.
func (a *Applier) nft(args ...string) ([]byte, error) {
	return a.tools.Output(background, nil, "nft", args...)
}

// readTable reads the table of this host. The known tables, which may be nil, are those that it may
// have.
func (a *Applier) readTable(host *snapshot.Host, known ...*plan.Table) (*plan.Table, error) {
	if host.NFT != nil && host.NFT.Table("inet", "dockerfw") == nil {
		return nil, nil
	}
	if a.store != nil {
		known = append(known, KnownTables(a.store)...)
	}
	out, err := ReadTable(a.nft, host, known...)
	if err != nil && !slices.ContainsFunc(known, func(t *plan.Table) bool { return t != nil }) {
		// The kernel may have no nf_tables. There never was such a table, as far as is known.
		return nil, nil
	}
	return out, err
}

// KnownTables are the tables of the folder that was loaded last and of the change that waits for
// confirmation, as far as they are for target nftables.
func KnownTables(s *store.Store) (out []*plan.Table) {
	for _, files := range recordedFolders(s) {
		if t, err := plan.ParseTable(files[folder.NFTFile]); err == nil {
			out = append(out, t)
		}
	}
	return out
}

// KnownHosts are the compiled hosts of KnownTables that may have a large set.
func KnownHosts(s *store.Store) (out []*snapshot.Host) {
	const shortest = len("1.1.1.1,")
	for _, files := range recordedFolders(s) {
		if len(files[folder.NFTFile]) < plan.LargeSet*shortest {
			continue
		}
		if h, diags, err := snapshot.OpenFiles("", files); err == nil && !diags.HasErrors() {
			out = append(out, h)
		}
	}
	return out
}

// rehearseTable is rehearse for target nftables.
func (a *Applier) rehearseTable(v *plan.Version) (*plan.Table, error) {
	out, err := PrintedTable(a.tools, v.Table)
	if errors.Is(err, hosttool.ErrNamespace) {
		a.warn("%v: the file is checked, but not loaded there before it is loaded", err)
		_, err = a.tools.Output(background, v.Table.Input(), "nft", "-c", "-f", "-")
	}
	if err != nil {
		return nil, fmt.Errorf("this host cannot load the table: %w", err)
	}
	return out, nil
}

// PrintedTable loads a table into a new network namespace, and returns it as nft of this host prints it.
// The error wraps [hosttool.ErrNamespace] if there can be no namespace.
func PrintedTable(tools *hosttool.Runner, t *plan.Table) (*plan.Table, error) {
	ns, err := tools.NewNamespace()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if _, err := ns.Output(background, t.Input(), "nft", "-f", "-"); err != nil {
		return nil, err
	}
	return ReadTable(func(args ...string) ([]byte, error) { return ns.Output(background, nil, "nft", args...) }, nil, t)
}
