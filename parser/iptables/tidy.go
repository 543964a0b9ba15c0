package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// The functions in this file normalize what iptables-save does not print as written:
// options that it prints as another one, and defaults that it adds or leaves out
// (docs/contributing/netfilter.md, "Canonical form").

// without removes the options with this name and single value that are not negated.
func without(opts []Option, name, value string) []Option {
	return slices.DeleteFunc(opts, func(o Option) bool {
		return o.Name == name && o.Value() == value && !o.Not
	})
}

// withDefault adds an option unless it or one of names is there.
func withDefault(opts []Option, add Option, names ...string) []Option {
	for _, n := range append(names, add.Name) {
		if find(opts, n) != nil {
			return opts
		}
	}
	return append(opts, add)
}

func tidyTCP(f Family, opts []Option) []Option {
	for i, o := range opts {
		if o.Name == "--syn" {
			opts[i].Name, opts[i].Values = "--tcp-flags", []string{"FIN,SYN,RST,ACK", "SYN"}
		}
		if o.Name == "--tcp-flags" && o.Values[0] == "ALL" {
			opts[i].Values = []string{"FIN,SYN,RST,PSH,ACK,URG", o.Values[1]}
		}
		if o.Name == "--tcp-flags" && o.Values[1] == "ALL" {
			opts[i].Values = []string{opts[i].Values[0], "FIN,SYN,RST,PSH,ACK,URG"}
		}
	}
	return dropFullPorts(f, opts)
}

func dropFullPorts(_ Family, opts []Option) []Option {
	return without(without(opts, "--sport", "0:65535"), "--dport", "0:65535")
}

func tidyLimit(_ Family, opts []Option) []Option {
	opts = withDefault(opts, Option{Name: "--limit", Values: []string{"3/hour"}})
	return without(opts, "--limit-burst", "5")
}

func tidyHashlimit(f Family, opts []Option) []Option {
	bytes := func(o Option) bool { return strings.HasSuffix(o.Value(), "b/s") }
	if !slices.ContainsFunc(opts, bytes) {
		opts = withDefault(opts, Option{Name: "--hashlimit-burst", Values: []string{"5"}})
	}
	full := fmt.Sprint(addressBits(f))
	return without(without(opts, "--hashlimit-srcmask", full), "--hashlimit-dstmask", full)
}

func tidyConnlimit(f Family, opts []Option) []Option {
	opts = withDefault(opts, Option{Name: "--connlimit-mask", Values: []string{fmt.Sprint(addressBits(f))}})
	return withDefault(opts, Option{Name: "--connlimit-saddr"}, "--connlimit-daddr")
}

func addressBits(f Family) int {
	if f == IPv6 {
		return 128
	}
	return 32
}

func tidyTime(_ Family, opts []Option) []Option {
	return withDefault(opts, Option{Name: "--datestop", Values: []string{"2038-01-19T03:14:07"}}, "--datestart")
}

func tidyRecent(f Family, opts []Option) []Option {
	mask := "255.255.255.255"
	if f == IPv6 {
		mask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	opts = withDefault(opts, Option{Name: "--name", Values: []string{"DEFAULT"}})
	opts = withDefault(opts, Option{Name: "--mask", Values: []string{mask}})
	return withDefault(opts, Option{Name: "--rsource"}, "--rdest")
}

func tidyLog(_ Family, opts []Option) []Option { return without(opts, "--log-level", "4") }

func tidyNflog(_ Family, opts []Option) []Option { return without(opts, "--nflog-group", "0") }

func tidyReject(f Family, opts []Option) []Option {
	def := "icmp-port-unreachable"
	if f == IPv6 {
		def = "icmp6-port-unreachable"
	}
	return withDefault(opts, Option{Name: "--reject-with", Values: []string{def}})
}

// tidyMark rewrites all options that set a mark to the form of the kernel: clear the bits
// of a mask, then exclusive-or a value (docs/contributing/netfilter.md, "Marks").
func tidyMark(_ Family, opts []Option) []Option {
	const full = 1<<32 - 1
	nfmask, ctmask := "0xffffffff", "0xffffffff"
	moves := false
	var out []Option
	for _, o := range opts {
		value, mask, ok := parseMark(o.Value())
		if !ok {
			value, mask = 0, 0
		}
		switch {
		case o.Name == "--save-mark" || o.Name == "--restore-mark":
			moves = true
			out = append(out, o)
			continue
		case !ok:
			out = append(out, o)
			continue
		case o.Name == "--mask":
			nfmask, ctmask = fmt.Sprintf("%#x", value), fmt.Sprintf("%#x", value)
			continue
		case o.Name == "--nfmask":
			nfmask = fmt.Sprintf("%#x", value)
			continue
		case o.Name == "--ctmask":
			ctmask = fmt.Sprintf("%#x", value)
			continue
		case o.Name == "--set-mark":
			mask |= value
		case o.Name == "--and-mark":
			value, mask = 0, ^value
		case o.Name == "--or-mark":
			mask = value
		case o.Name == "--xor-mark":
			mask = 0
		case o.Name != "--set-xmark":
			out = append(out, o)
			continue
		}
		o.Name, o.Values = "--set-xmark", []string{fmt.Sprintf("%#x/%#x", value, mask&full)}
		out = append(out, o)
	}
	if moves {
		out = append(out, Option{Name: "--nfmask", Values: []string{nfmask}}, Option{Name: "--ctmask", Values: []string{ctmask}})
	}
	return out
}
