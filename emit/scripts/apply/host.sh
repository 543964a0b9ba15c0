
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
}

# restore FAMILY loads standard input as one transaction.
restore() {
	$(command_of "$1" -restore) -w 10 --noflush >"$W/err" 2>&1 || {
		failure="$(command_of "$1" -restore): $(cat "$W/err")"
		return 1
	}
}

# choose_backend finds the tables in which Docker's chains are. A packet passes both
# kinds; rules in the ones that Docker does not use come too late or not at all.
choose_backend() {
	found=''
	for kind in nft legacy; do
		command -v "iptables-$kind-save" >/dev/null 2>&1 || continue
		# Asking the legacy one makes its tables, where they are not there yet.
		[ "$kind" = nft ] || grep -q '^filter$' /proc/net/ip_tables_names 2>/dev/null || continue
		if "iptables-$kind-save" -t filter 2>/dev/null | grep -q '^-A FORWARD .*-j DOCKER'; then
			found="$found $kind"
		fi
	done
	case $found in
	'') # Docker has not run yet: the one that iptables stands for.
		[ -n "$backend" ] || [ -z "$(command -v iptables-nft-save)$(command -v iptables-legacy-save)" ] || backend=$(default_backend)
		;;
	' nft' | ' legacy')
		found=${found# }
		[ -z "$backend" ] || [ "$backend" = "$found" ] ||
			die "FORWARD leads to Docker's chains in iptables-$found, and not in iptables-$backend: rules there would decide nothing. Leave --backend out"
		backend=$found
		[ "$(default_backend)" = "$backend" ] ||
			say "iptables is iptables-$(default_backend) on this host, and Docker's rules are in iptables-$backend: using that"
		;;
	*)
		[ -n "$backend" ] ||
			die "FORWARD leads to Docker's chains in both iptables-nft and iptables-legacy: one of them is left from before a change. Flush the one that Docker does not use, or name the one that it uses with --backend"
		;;
	esac
}

default_backend() {
	case $(iptables --version 2>/dev/null) in
	*nf_tables*) printf nft ;;
	*) printf legacy ;;
	esac
}
