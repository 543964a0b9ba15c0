
# ---- Sets. NAME-alt holds what is to be in NAME while rules change; NAME-new what is to
# be swapped into it. dockerfw gives no set of a policy such a name.

exists() { ipset list -n "$1" >/dev/null 2>&1; } # SET

# present SUFFIX NAME... prints those of the sets NAMESUFFIX that exist, each once.
present() {
	end=$1
	shift
	[ $# -gt 0 ] || return 0
	there=$newline$(ipset list -n 2>/dev/null)$newline
	for s in "$@"; do
		case $there in *"$newline$s$end$newline"*)
			printf '%s\n' "$s$end"
			there=${there%%"$newline$s$end$newline"*}$newline${there#*"$newline$s$end$newline"}
			;;
		esac
	done
}
newline='
'

# make_sets FILE loads it into ipset. Not a pipe: what fails in one cannot tell why.
make_sets() {
	ipset restore <"$1" 2>"$W/err" || {
		failure="ipset restore: $(cat "$W/err")"
		return 1
	}
}

# destroy SUFFIX NAME... destroys sets that exist. Lists go first: what is in one
# cannot be destroyed. A set in use stays, and makes it return 1.
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
	failure="in use by something besides dockerfw, and left:$stay"
	return 1
}

# unneeded FOLDER prints sets that are ours and not of the folder.
unneeded() {
	awk 'stage == "needed" { is[$1] = 1; next } !($1 in is)' stage=needed "$1/managed" stage=known "$W/known"
}

# content FILE prints the sets that its lines name as they are in force, as ipset save does
# but for what the kernel chooses. One that a killed run left in use as NAME-alt is printed
# as NAME.
content() {
	ipset save >"$W/saved" 2>"$W/err" || {
		failure="ipset save: $(cat "$W/err")"
		return 1
	}
	awk 'stage == "asked" { asked[$1] = 1; next }
		stage == "names" { if ($1 == "create") there[$2] = 1; next }
		{ s = $2; alt = sub(/-alt$/, "", s) }
		!(s in asked) || (!alt && (s "-alt" in there)) { next }
		$1 == "create" { list = ($3 == "list:set"); $2 = s; sub(/ bucketsize [0-9]+/, ""); sub(/ initval [^ ]+/, ""); print }
		$1 == "add" { e = $3; if (list) sub(/-alt$/, "", e); gsub(/"[^"]*"/, ""); print "add", s, e ($0 ~ / nomatch( |$)/ ? " nomatch" : "") }' \
		stage=asked "$1" stage=names "$W/saved" stage=saved "$W/saved"
}

# changed FAMILY FOLDER prints the managed sets that are not as the folder has them, with
# the lists that hold them.
changed() {
	of_family "$1" <"$2/managed" >"$W/names" && content "$W/names" >"$W/have" || return 1
	awk 'stage == "names" { managed[++sets] = $1; is[$1] = 1; next }
		!($2 in is) { next }
		stage == "wanted" && $1 == "create" && $3 == "list:set" { list[$2] = 1 }
		stage == "wanted" && $1 == "add" && ($2 in list) { member[++members] = $3; of[members] = $2 }
		$1 == "create" {
			size = 0
			for (i = 4; i < NF; i++) if ($i == "hashsize") size = $(i + 1)
			if (stage == "have") hashsize[$2] = size
			# The kernel raises it by itself.
			else if (hashsize[$2] + 0 < size + 0) changed[$2] = 1
			sub(/ hashsize [0-9]*/, "")
		}
		{ n[$0] += (stage == "have") ? 1 : -1; set[$0] = $2 }
		END {
			for (line in n) if (n[line]) changed[set[line]] = 1
			for (i = 1; i <= members; i++) if (member[i] in changed) holds[of[i]] = 1
			for (i = 1; i <= sets; i++) if ((managed[i] in changed) || (managed[i] in holds)) print managed[i]
		}' stage=names "$W/names" stage=have "$W/have" stage=wanted "$2/sets"
}

# fill FOLDER MAP: input of ipset restore that makes the sets of MAP, lines "NAME TO",
# under their other names. Members of lists that MAP names are meant by those too.
fill() {
	awk 'stage == "map" { to[$1] = $2; next }
		!($2 in to) { next }
		$1 == "create" { if ($3 == "list:set") list[$2] = 1; $2 = to[$2]; print; next }
		$2 in list { late[++n] = "add " to[$2] " " (($3 in to) && to[$3] !~ /-new$/ ? to[$3] : $3); next }
		{ print "add", to[$2], $3 ($4 == "nomatch" ? " nomatch" : "") }
		END { for (i = 1; i <= n; i++) print late[i] }' stage=map "$2" stage=sets "$1/sets"
}

# rename_back FAMILY FOLDER NAME... makes sets under their own names, which no rule of ours
# uses now. What somebody else uses is swapped in, so that it is never empty or gone.
rename_back() {
	folder=$2
	shift 2
	# A list of an earlier version may hold one of them still.
	destroy '' $(unneeded "$folder")
	destroy '' "$@"
	destroy -new "$@" || return 1
	for s in "$@"; do
		if exists "$s"; then printf '%s %s-new\n' "$s" "$s"; else printf '%s %s\n' "$s" "$s"; fi
	done >"$W/own"
	fill "$folder" "$W/own" >"$W/input" && awk '$1 != $2 { print "swap", $2, $1 }' "$W/own" >>"$W/input" && make_sets "$W/input" || return 1
	destroy -new "$@"
}
