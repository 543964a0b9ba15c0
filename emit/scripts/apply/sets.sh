
# ---- Sets. NAME-alt has the new content of NAME while the rules change; NAME-new has content
# that is swapped into NAME. No set of a policy may have such a name.

exists() { ipset list -n "$1" >/dev/null 2>&1; } # SET

# present SUFFIX NAME... prints the sets NAMESUFFIX that exist.
present() {
	end=$1
	shift
	ipset list -n >"$W/present" 2>/dev/null
	[ $# = 0 ] || printf "%s$end\n" "$@" | awk 'stage == "there" { is[$1] = 1; next } ($1 in is) && !said[$1]++' stage=there "$W/present" stage=asked -
}

# make_sets FILE loads it into ipset. In a pipe, $failure would be lost in a subshell.
make_sets() {
	ipset restore <"$1" 2>"$W/err" || {
		failure="ipset restore: $(cat "$W/err")"
		return 1
	}
}

# destroy SUFFIX NAME... destroys sets that exist, lists first: a member of a list cannot be
# destroyed. If a set is in use, it stays and the function returns 1.
destroy() {
	suffix=$1
	shift
	for _ in lists others; do
		stay=''
		for s in $(present "$suffix" "$@"); do
			ipset destroy "$s" 2>"$W/destroy.err" || stay="$stay $s"
		done
		[ -n "$stay" ] || return 0
	done
	failure="sets in use outside dockerfw were not destroyed:$stay"
	return 1
}

# unneeded FOLDER prints our sets that the folder does not contain.
unneeded() {
	awk 'stage == "needed" { is[$1] = 1; next } !($1 in is)' stage=needed "$1/managed" stage=known "$W/known"
}

# content prints the sets whose names are on standard input as ipset save does, without what
# the kernel chooses. A set that a killed run left in use as NAME-alt is printed as NAME.
content() {
	cat >"$W/asked" && ipset save >"$W/saved" 2>"$W/err" || {
		failure="ipset save: $(cat "$W/err")"
		return 1
	}
	awk 'stage == "asked" { asked[$1] = 1; next }
		stage == "names" { if ($1 == "create") there[$2] = 1; next }
		{ s = $2; alt = sub(/-alt$/, "", s) }
		!(s in asked) || (!alt && (s "-alt" in there)) { next }
		$1 == "create" { list = ($3 == "list:set"); $2 = s; sub(/ bucketsize [0-9]+/, ""); sub(/ initval [^ ]+/, ""); print }
		$1 == "add" { e = $3; if (list) sub(/-alt$/, "", e); gsub(/"[^"]*"/, ""); print "add", s, e ($0 ~ / nomatch( |$)/ ? " nomatch" : "") }' \
		stage=asked "$W/asked" stage=names "$W/saved" stage=saved "$W/saved"
}

# changed FAMILY FOLDER prints the managed sets that differ from those of the folder, and the
# lists that contain them.
changed() {
	of_family "$1" <"$2/managed" >"$W/names"
	content <"$W/names" >"$W/have" || return 1
	awk 'stage == "names" { of[$1] = 1; next } $2 in of' stage=names "$W/names" stage=sets "$2/sets" >"$W/wanted" || return 1
	for side in have wanted; do
		# The kernel increases hashsize itself.
		sed 's/ hashsize [0-9]*//' "$W/$side" | sort >"$W/$side.sorted" || return 1
	done
	{
		comm -3 "$W/have.sorted" "$W/wanted.sorted" | awk '{ print $2 }'
		awk '$1 == "create" { for (i = 4; i < NF; i++) if ($i == "hashsize") { if (stage == "have") have[$2] = $(i + 1); else if (have[$2] + 0 < $(i + 1) + 0) print $2 } }' \
			stage=have "$W/have" stage=wanted "$W/wanted"
	} | sort -u >"$W/differing" || return 1
	awk 'stage == "differing" { print; is[$1] = 1; next }
		$1 == "create" && $3 == "list:set" { list[$2] = 1 }
		$1 == "add" && ($2 in list) && ($3 in is) && !($2 in is) && !said[$2]++ { print $2 }' \
		stage=differing "$W/differing" stage=wanted "$W/wanted"
}

# fill FOLDER MAP prints the input of ipset restore that creates the sets of MAP, lines
# "NAME TO", under their other names. Members of lists get their other names too.
fill() {
	awk 'stage == "map" { to[$1] = $2; next }
		!($2 in to) { next }
		$1 == "create" { if ($3 == "list:set") list[$2] = 1; $2 = to[$2]; print; next }
		$2 in list { late[++n] = "add " to[$2] " " (($3 in to) && to[$3] !~ /-new$/ ? to[$3] : $3); next }
		{ print "add", to[$2], $3 ($4 == "nomatch" ? " nomatch" : "") }
		END { for (i = 1; i <= n; i++) print late[i] }' stage=map "$2" stage=sets "$1/sets"
}

# rename_back FAMILY FOLDER NAME... creates sets under their own names, which none of our rules
# uses now. The content of a set in foreign rules is swapped, so that the set always exists.
rename_back() {
	folder=$2
	shift 2
	# A list of an earlier policy may still contain one of them.
	destroy '' $(unneeded "$folder")
	destroy '' "$@"
	destroy -new "$@" || return 1
	for s in "$@"; do
		if exists "$s"; then printf '%s %s-new\n' "$s" "$s"; else printf '%s %s\n' "$s" "$s"; fi
	done >"$W/own"
	fill "$folder" "$W/own" >"$W/input" && awk '$1 != $2 { print "swap", $2, $1 }' "$W/own" >>"$W/input" && make_sets "$W/input" || return 1
	destroy -new "$@"
}
