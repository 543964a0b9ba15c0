
# ---- The tools and tables of this host.

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null 2>&1 || die "$tool is missing (Debian: apt-get install iptables ipset util-linux; conntrack and iproute2 for --cut)"
	done
}

# command_of FAMILY [SUFFIX] prints the name of a program of the chosen backend.
command_of() {
	case $1 in
	4) printf 'iptables%s%s' "${backend:+-$backend}" "$2" ;;
	6) printf 'ip6tables%s%s' "${backend:+-$backend}" "$2" ;;
	esac
}

family_name() { printf 'IPv%s' "$1"; }

# save FAMILY writes the filter table as iptables-save prints it to $W/save4 or 6, and the
# security table, if the kernel supports it, to $W/fallback4 or 6.
save() {
	$(command_of "$1" -save) -t security >"$W/fallback$1" 2>/dev/null || rm -f "$W/fallback$1"
	$(command_of "$1" -save) -t filter >"$W/save$1" 2>"$W/err" || {
		failure="$(command_of "$1" -save): $(cat "$W/err")"
		return 1
	}
	# iptables-save prints no rule of such a table and exits with 0. At boot there are no
	# dockerfw rules yet that it could hide.
	if [ $mode != boot ] && grep -q '^# Table .* is incompatible' "$W/save$1" "$W/fallback$1" 2>/dev/null; then
		failure="$(command_of "$1" -save) cannot print the tables: they contain rules that only nft can print"
		return 1
	fi
}

# restore FAMILY loads standard input as one transaction.
restore() {
	$(command_of "$1" -restore) -w 10 --noflush >"$W/err" 2>&1 || {
		failure="$(command_of "$1" -restore): $(cat "$W/err")"
		return 1
	}
}

# tables KIND reports whether this host has the tables of a backend. iptables-legacy-save
# would create the legacy ones, so that /proc is read instead.
tables() {
	command -v "iptables-$1-save" >/dev/null 2>&1 || return 1
	[ "$1" = nft ] || grep -q '^filter$' /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null
}

# choose_backend finds the backend that contains Docker's chains. A packet passes the tables
# of both; rules in those that Docker does not use come too late or have no effect.
choose_backend() {
	engines='' jumps=''
	for kind in nft legacy; do
		tables $kind || continue
		"iptables-$kind-save" -t filter 2>/dev/null | grep '^-A FORWARD .*-j DOCKER' >"$W/forward"
		# dockerfw makes a jump to DOCKER-USER itself at boot: alone, it does not show Docker.
		if grep -q -v -e '-j DOCKER-USER$' -e '-j DOCKERFW' "$W/forward"; then
			engines="$engines $kind"
		elif [ -s "$W/forward" ]; then
			jumps="$jumps $kind"
		fi
	done
	[ -n "$engines" ] || [ "$jumps" = ' nft legacy' ] || engines=$jumps
	case $engines in
	'') # Docker has not run yet.
		[ -n "$backend" ] || [ -z "$(command -v iptables-nft-save)$(command -v iptables-legacy-save)" ] || backend=$(last_backend)
		;;
	' nft' | ' legacy')
		engines=${engines# }
		[ -z "$backend" ] || [ "$backend" = "$engines" ] || [ $mode = boot ] ||
			die "FORWARD jumps to Docker's chains in iptables-$engines, not in iptables-$backend: rules there would have no effect. Omit --backend"
		backend=$engines
		[ "$(default_backend)" = "$backend" ] ||
			say "iptables is iptables-$(default_backend) on this host, but Docker's rules are in iptables-$backend: using iptables-$backend"
		;;
	*)
		# Boot takes the last one: in either backend, our rules drop what they refuse.
		[ -n "$backend" ] || [ $mode != boot ] || backend=$(last_backend)
		[ -n "$backend" ] ||
			die "FORWARD jumps to Docker's chains in both iptables-nft and iptables-legacy: one of them is left over. Flush the tables that Docker does not use, or select the backend that it uses with --backend"
		;;
	esac
	printf '%s\n' "$backend" >"$W/backend"
}

# last_backend prints the backend that was used when a folder was loaded last, or else the
# default one.
last_backend() {
	last=$(cat "$STATE/backend" 2>/dev/null)
	case $last in
	# A newer kernel may no longer support it.
	nft | legacy) ! "iptables-$last-save" -t filter >/dev/null 2>&1 || { printf '%s' "$last" && return; } ;;
	esac
	default_backend
}

default_backend() {
	case $(iptables --version 2>/dev/null) in
	*nf_tables*) printf nft ;;
	*) printf legacy ;;
	esac
}

# other_backends prints the backends besides the chosen one that contain dockerfw rules.
other_backends() {
	for kind in nft legacy; do
		[ -n "$backend" ] && [ $kind != "$backend" ] && tables $kind || continue
		for save in "iptables-$kind-save" "ip6tables-$kind-save"; do
			"$save" 2>/dev/null
		done | grep -q -e '^:DOCKERFW' -e '--comment "dockerfw ' && printf '%s\n' $kind
	done
	return 0
}
