package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/handmade"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/imported"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/starter"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
	"github.com/dockerfw/dockerfw/parser/files"
)

func importCommand() *cobra.Command {
	var (
		external, families []string
		chain, to          string
		full               bool
	)
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Write the policy that hand-made rules amount to",
		Long: `import reads the rules that somebody wrote into DOCKER-USER or DOCKER, and writes a
policy. It compares the two over all packets and reports that they are equal, or each
difference with an example packet. What the language does not have is a comment in the
policy.

Files are the output of iptables-save, ip6tables-save and ipset save; ufw's after.rules;
shell scripts of plain iptables, ip6tables and ipset commands; and the variables of the
Ansible role iptables-docker, as YAML. Several files are read in their order.

The exit code is 0 if the policy is equal to the rules, 1 if not everything could be
expressed, and 2 on errors.`,
		Example: `  dockerfw import rules.v4 rules.v6 sets -o policy.hcl
  dockerfw import firewall.sh --external eth0
  dockerfw import /etc/ufw/after.rules /etc/ufw/after6.rules --external eth0 -o firewall`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "no file given: add the output of iptables-save, a script, or variables of Ansible")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := imported.Options{Chain: chain, External: split(external)}
			if problem := checkInterfaces(o.External); problem != "" {
				return usageError(cmd, problem)
			}
			var err error
			if o.Families, err = parseFamilies(split(families)); err != nil {
				return usageError(cmd, err.Error())
			}
			target, err := importTarget(to)
			if err != nil {
				return err
			}
			o.Name, o.Policy, o.Files = words.And(args), "policy.hcl", target != ""
			if target != "" {
				o.Policy = filepath.Base(target)
			}
			return runImport(cmd, args, o, target, full)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&external, "external", nil, "the `name` of the external interface, for rules without one; may be repeated")
	f.StringArrayVar(&families, "families", nil, "the `families` of the policy, ipv4 or ipv6; may be repeated (default those of the rules)")
	f.StringVar(&chain, "chain", "", "the `chain` with the rules (default DOCKER-USER, or DOCKER if only that has some)")
	f.StringVarP(&to, "output", "o", "", "the `file` *.hcl to write, or a directory for policy.hcl; long sets become files beside it (default standard output)")
	f.BoolVar(&full, "full", false, "list all differences")
	return cmd
}

// checkInterfaces returns what is wrong with names of interfaces; "" for nothing.
func checkInterfaces(names []string) string {
	for i, name := range names {
		if problem := parser.CheckInterface(name); problem != "" {
			return fmt.Sprintf("bad interface %q: %s", name, problem)
		}
		for _, other := range names[:i] {
			if parser.Covers(other, name) || parser.Covers(name, other) {
				return fmt.Sprintf("bad interface %q: %q is or includes it already", name, other)
			}
		}
	}
	return ""
}

func parseFamilies(names []string) ([]ir.Family, error) {
	var out []ir.Family
	for _, name := range names {
		f, ok := map[string]ir.Family{"ipv4": ir.IPv4, "ipv6": ir.IPv6}[strings.ToLower(name)]
		if !ok {
			return nil, fmt.Errorf("unknown family %q: write ipv4 or ipv6", name)
		}
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out, nil
}

// importTarget is the file to write; "" for standard output. A file that exists is an error.
func importTarget(to string) (string, error) {
	if to == "" {
		return "", nil
	}
	if !strings.HasSuffix(to, ".hcl") {
		if existing := starter.Existing(to); existing != "" {
			return "", fmt.Errorf("%s already exists; not overwritten", existing)
		}
		return filepath.Join(to, "policy.hcl"), nil
	}
	if _, err := os.Lstat(to); err == nil {
		return "", fmt.Errorf("%s already exists; not overwritten", to)
	}
	return to, nil
}

func runImport(cmd *cobra.Command, args []string, o imported.Options, target string, full bool) error {
	source, diags, err := handmade.Read(files.Disk, args)
	if n := printDiagnostics(cmd.ErrOrStderr(), diags, source.Files); n > 0 {
		escape.Fprintf(cmd.ErrOrStderr(), "%s; nothing was imported.\n", words.Count(n, "error"))
		return exitError(exitTrouble)
	}
	if err != nil {
		return err
	}
	result, err := imported.Import(source, o)
	if errors.Is(err, imported.ErrNoInterface) {
		return usageError(cmd, err.Error())
	}
	if err != nil {
		return err
	}
	if target == "" {
		if err := escape.Write(cmd.OutOrStdout(), escape.Safe(result.Policy)); err != nil {
			return err
		}
	} else if err := cleanly(func(context.Context) error { return writeImport(target, result) }); err != nil {
		return err
	}
	writeImportSummary(cmd, o, result, target, full)
	return exitUnless(result.Equal() && result.Left == 0)
}

// writeImport writes the policy last, so that there is none if something fails before.
func writeImport(target string, result *imported.Result) (err error) {
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var written []string
	defer func() {
		if err != nil {
			for _, path := range written {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	write := func(path string, text []byte) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		written = append(written, path)
		_, err = f.Write(text)
		return errors.Join(err, f.Close())
	}
	for name, text := range result.Lists {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := write(path, text); err != nil {
			return err
		}
	}
	return write(target, result.Policy)
}

func writeImportSummary(cmd *cobra.Command, o imported.Options, r *imported.Result, target string, full bool) {
	w := cmd.ErrOrStderr()
	into := ""
	if target != "" {
		into = " into " + target
		if n := len(r.Lists); n > 0 {
			into += " and " + words.Count(n, "list") + " beside it"
		}
	}
	escape.Fprintf(w, "Imported %s of chain %s and %s from %s%s.\n", words.Count(r.Rules, "rule"), r.Chain, words.Count(r.Sets, "set"), o.Name, into)
	for _, n := range r.Notes {
		escape.Fprintf(w, "  note: %s.\n", strings.TrimSuffix(n, "."))
	}
	if r.EgressCut {
		escape.Fprintf(w, "  note: the rules also refuse connections that containers open. The policy does the same in block egress: delete that if it was not intended.\n")
	}
	if r.Protects {
		escape.Fprintf(w, "  note: beyond the rules, the policy refuses the same clients in INPUT, where docker-proxy answers for the ports that it lists.\n")
	}
	if len(r.LeftOver) > 0 {
		const shown = 5
		escape.Fprintf(w, "  note: sets that the policy has under other names stay on the host after dockerfw apply: %s. Once nothing else uses one: ipset destroy NAME.\n", words.List(r.LeftOver, shown))
	}
	var families []string
	for _, f := range r.Compared {
		families = append(families, words.Family(f))
	}
	switch {
	case r.Equal():
		result := "Equal"
		if len(r.Report.SameReach) > 0 {
			result = "The same packets get through"
		}
		comments := escape.Safe("")
		if r.Left > 0 {
			comments = " " + asComments(r.Left)
		}
		escape.Fprintf(w, "%s: proved for %s, over all packets that Docker forwards.%s\n", result, words.And(families), comments)
	case r.EqualOutside:
		escape.Fprintf(w, "Equal for all packets that arrive on %s or leave through it: proved for %s. Rules without an interface are also about other packets, such as those between containers, which a policy leaves to Docker:\n", words.Or(r.External), words.And(families))
	default:
		escape.Fprintf(w, "Not equal: the policy treats these packets differently. Old is %s, new the policy.\n", o.Name)
	}
	var text bytes.Buffer
	if len(r.Report.Changes)+len(r.Report.SameReach) > 0 {
		if err := diff.WriteText(&text, []*diff.Report{r.Report}, diff.Style{Full: full}); err != nil {
			return
		}
		for line := range strings.Lines(text.String()) {
			_ = escape.Write(w, escape.Safe(line))
		}
	}
	if r.Left > 0 && !r.Equal() {
		escape.Fprintf(w, "%s\n", asComments(r.Left))
	}
	if target != "" {
		escape.Fprintf(w, "Next: read it, add an input block for the host itself (dockerfw init writes one), then run\n  %s\n", shell.Command("dockerfw", "check", target))
	}
}

// asComments is the sentence about the rules that the policy does not have.
func asComments(n int) escape.Safe {
	if n == 1 {
		return "1 rule is in the policy as a comment."
	}
	return escape.Sprintf("%d rules are in the policy as comments.", n)
}
