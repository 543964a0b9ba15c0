
# ---- What there is on this host.

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null 2>&1 || die "$tool is missing (Debian: apt-get install iptables ipset util-linux; conntrack and iproute2 for --cut)"
	done
}

# command_of FAMILY [SUFFIX] names a program of the chosen backend.
command_of() {
	case $1 in
	4) printf 'iptables%s%s' "${backend:+-$backend}" "$2" ;;
	6) printf 'ip6tables%s%s' "${backend:+-$backend}" "$2" ;;
	esac
}

family_name() { printf 'IPv%s' "$1"; }

# save FAMILY keeps what iptables-save prints of the filter table in $W/save4 or 6, and of
# the security table in $W/second4 or 6, where the kernel has that one.
save() {
	$(command_of "$1" -save) -t security >"$W/second$1" 2>/dev/null || rm -f "$W/second$1"
	$(command_of "$1" -save) -t filter >"$W/save$1" 2>"$W/err" || {
		failure="$(command_of "$1" -save): $(cat "$W/err")"
		return 1
	}
	# It prints no rule at all then, and exits with 0. Boot goes on: nothing of ours is there yet.
	if [ $mode != boot ] && grep -q '^# Table .* is incompatible' "$W/save$1" "$W/second$1" 2>/dev/null; then
		failure="$(command_of "$1" -save) cannot print the tables: there are rules in them that only nft knows"
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

# tables KIND: does this host have the tables of the backend? Asking the legacy one would make
# them, where they are not there yet.
tables() {
	command -v "iptables-$1-save" >/dev/null 2>&1 || return 1
	[ "$1" = nft ] || grep -q '^filter$' /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null
}

# choose_backend finds the tables in which Docker's chains are. A packet passes both
# kinds; rules in the ones that Docker does not use come too late or not at all.
choose_backend() {
	engines='' jumps=''
	for kind in nft legacy; do
		tables $kind || continue
		"iptables-$kind-save" -t filter 2>/dev/null | grep '^-A FORWARD .*-j DOCKER' >"$W/forward"
		# A jump to DOCKER-USER alone can be ours, made at boot.
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
			die "FORWARD leads to Docker's chains in iptables-$engines, and not in iptables-$backend: rules there would decide nothing. Leave --backend out"
		backend=$engines
		[ "$(default_backend)" = "$backend" ] ||
			say "iptables is iptables-$(default_backend) on this host, and Docker's rules are in iptables-$backend: using that"
		;;
	*)
		# Boot does not ask; in either kind, our rules keep out those whom they refuse.
		[ -n "$backend" ] || [ $mode != boot ] || backend=$(last_backend)
		[ -n "$backend" ] ||
			die "FORWARD leads to Docker's chains in both iptables-nft and iptables-legacy: one of them is left from before a change. Flush the one that Docker does not use, or name the one that it uses with --backend"
		;;
	esac
	printf '%s\n' "$backend" >"$W/backend"
}

# last_backend prints the one that was right when a folder was loaded last, or what
# iptables stands for.
last_backend() {
	last=$(cat "$STATE/backend" 2>/dev/null)
	case $last in
	# The kernel may have lost it since.
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

# other_backends prints the kinds of tables, besides the chosen ones, that hold rules of ours.
other_backends() {
	for kind in nft legacy; do
		[ -n "$backend" ] && [ $kind != "$backend" ] && tables $kind || continue
		for save in "iptables-$kind-save" "ip6tables-$kind-save"; do
			"$save" 2>/dev/null
		done | grep -q -e '^:DOCKERFW' -e '--comment "dockerfw ' && printf '%s\n' $kind
	done
	return 0
}
