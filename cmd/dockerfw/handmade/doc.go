// Package handmade reads firewall rules that people wrote for Docker without dockerfw.
//
// In: files with saved tables and sets (the output of iptables-save, ip6tables-save and ipset save,
// or ufw's after.rules), shell scripts of iptables and ipset commands, and the variables of the
// Ansible role iptables-docker. Out: the tables and sets that a host has then ([Source]), or
// diagnostics with positions. Whatever a file is, its rules become commands of package iptables,
// whose simulated loading makes the tables. It runs nothing, and does not interpret rules.
package handmade
