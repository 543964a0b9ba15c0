
# ---- A normalized folder, the form that is loaded: rules4, rules6 (chains and rules of the
# filter table, which is the first in a file), target4, target6 (the chain that forwarded
# packets reach first), sets (the managed sets with their elements), managed (their names),
# unmanaged (headers of unmanaged sets).

# normalize FOLDER TO
normalize() {
	mkdir -p "$2" || return 1
	awk '/^create / && $2 !~ /-new$/ { all[++n] = $2; header[$2] = substr($0, 8) }
	     /^create / && $2 ~ /-new$/ { s = $2; sub(/-new$/, "", s); managed[s] = 1; print "create " s substr($0, 8 + length($2)) > sets }
	     /^add / { s = $2; sub(/-new$/, "", s); print "add " s " " $3 > sets }
	     END { for (i = 1; i <= n; i++) if (!(all[i] in managed)) { h = header[all[i]]; sub(/ -exist$/, "", h); print h > others } }' \
		sets="$2/sets" others="$2/unmanaged" "$1/ipset.restore" || return 1
	for f in 4 6; do
		rules=$1/$(command_of_file $f).restore
		[ -f "$rules" ] || continue
		awk '/^COMMIT/ { exit } /^[:-]/' "$rules" >"$2/rules$f" || return 1
		target=$(awk '/^COMMIT/ { exit } /^-D / && / -j DOCKERFW$/ { print $2; exit }' "$1/$(command_of_file $f).remove") || return 1
		[ -n "$target" ] || target=$(awk '/^:/ && $1 !~ /^:DOCKERFW/ { print substr($1, 2); exit } /^-I / { print $2; exit }' "$rules")
		[ -n "$target" ] && printf '%s\n' "$target" >"$2/target$f" || return 1
	done
	touch "$2/sets" "$2/unmanaged" || return 1
	awk '/^create / { print $2 }' "$2/sets" >"$2/managed"
}

command_of_file() { # FAMILY
	case $1 in
	4) printf iptables ;;
	6) printf ip6tables ;;
	esac
}

# families FOLDER prints the families that a normalized folder has rules for.
families() {
	for f in 4 6; do
		[ -f "$1/rules$f" ] && printf '%s ' "$f"
	done
}

# of_family FAMILY filters names of sets. Those of IPv6, and no others, end in -v6.
of_family() {
	case $1 in
	4) sed '/-v6$/d' ;;
	6) sed '/-v6$/!d' ;;
	esac
}

# check_digests FOLDER ends the run unless all files are as they were compiled.
check_digests() {
	[ -f "$1/manifest.json" ] || die "$1 has no manifest.json: it is not a compiled folder"
	awk -F'"' '/^  "files": \[/ { on = 1 } on && /"name":/ { name = $4 } on && /"sha256":/ { print $4 "  " name }' "$1/manifest.json" >"$W/digests" || die "cannot read $1/manifest.json"
	[ -s "$W/digests" ] || die "$1/manifest.json lists no files"
	(cd "$1" && sha256sum -c "$W/digests") >"$W/digests.out" 2>&1 || {
		wrong=$(grep -v ': OK$' "$W/digests.out" | head -n 3 | tr '\n' ' ')
		[ -n "$wrong" ] || die "cannot write to $RUN"
		die "$1 was changed after it was compiled: $wrong"
	}
}
