
# ---- Loading a normalized folder over what is in force. What fails says in $failure what
# it was; $touched tells whether rules in force were changed by then.

failure='' touched=''

# load FOLDER: each family steps over at once, then the sets get their own names.
load() {
	make_unmanaged "$1" || return 1
	for f in $(families "$1"); do
		step_over "$f" "$1" || return 1
	done
	for f in $(families "$1"); do
		own_names "$f" "$1" || return 1
	done
}

# make_unmanaged FOLDER makes sets that others fill, where they are missing.
make_unmanaged() {
	while read -r name header; do
		exists "$name" || { printf 'create %s %s\n' "$name" "$header" >"$W/input" && make_sets "$W/input"; } || return 1
	done <"$1/unmanaged"
}

# step_over FAMILY FOLDER puts the rules in force with the new content of changed sets.
step_over() {
	# Going back from half-way, rules use sets as NAME-alt: they step to NAME instead.
	busy=$(alternatives "$1" "$2")
	! destroy -alt $busy || busy=''
	[ -z "$busy" ] || rename_back "$1" "$2" $busy || return 1
	printf '%s\n' $busy >"$W/busy"
	changed "$1" "$2" >"$W/all" || return 1
	awk 'stage == "busy" { is[$1] = 1; next } !($1 in is)' stage=busy "$W/busy" stage=all "$W/all" >"$W/changed" &&
		awk '{ print $1, $1 "-alt" }' "$W/changed" >"$W/map$1" || return 1
	if fill "$2" "$W/map$1" >"$W/input" && make_sets "$W/input" && put "$1" "$2" "$W/map$1"; then
		destroy -alt $busy
		return
	fi
	why=$failure
	destroy -alt $(cat "$W/changed")
	failure=$why
	return 1
}

# alternatives FAMILY FOLDER prints sets of the folder that there are as NAME-alt.
alternatives() { present -alt $(of_family "$1" <"$2/managed") | sed 's/-alt$//'; }

# own_names FAMILY FOLDER makes what is in use as NAME-alt NAME.
own_names() {
	alts=$(alternatives "$1" "$2")
	[ -n "$alts" ] || return 0
	rename_back "$1" "$2" $alts && put "$1" "$2" /dev/null && destroy -alt $alts
}

# snapshot FOLDER TO makes a normalized folder of what is in force where loading FOLDER
# changes something.
snapshot() {
	mkdir -p "$2" || return 1
	true >"$2/unmanaged"
	for f in $(families "$1"); do
		awk "$read_stages"'
		function back(text) { while (match(text, /--match-set [^ ]*-alt /)) text = substr(text, 1, RSTART + RLENGTH - 6) substr(text, RSTART + RLENGTH - 1); return text }
		END {
			for (name in exists) if ((name in declared) || own_chain(name)) { keep[name] = 1; print ":" name " - [0:0]" }
			# transaction makes the jumps.
			for (i = 1; i <= kernel; i++) if ((kchain[i] in keep) && (own_chain(kchain[i]) || !kjump[i])) print "-A " kchain[i] " " back(krule[i])
			for (i = kernel; i > 0; i--) if (kown[i] && !kjump[i] && !(kchain[i] in keep)) print "-I " kchain[i] " " back(krule[i])
		}' stage=r "$1/rules$f" stage=s "$W/save$f" >"$2/rules$f" || return 1
		target=$(awk '/^-A / && / -j DOCKERFW$/ { print $2; exit }' "$W/save$f")
		printf '%s\n' "${target:-$(cat "$1/target$f")}" >"$2/target$f" || return 1
		grep -q -x -e "-A FORWARD -j $(cat "$2/target$f")" "$W/save$f" || printf 'no\n' >"$2/jump$f" || return 1
	done
	content <"$W/known" >"$W/content" || return 1
	# Members of lists are made before the lists.
	{
		awk '$1 == "create" && $3 != "list:set"' "$W/content"
		awk '$1 == "create" && $3 == "list:set"' "$W/content"
		awk '$1 == "add"' "$W/content"
	} >"$2/sets" && awk '$1 == "create" { print $2 }' "$2/sets" >"$2/managed"
}

# roll_back SNAPSHOT ends the run, after $failure.
roll_back() {
	warn "$failure"
	if [ -z "$touched" ] || load "$1"; then
		[ -z "$confirm" ] || drop_pending
		[ -z "$confirm" ] || rm -f "$STATE/unconfirmed"
		if [ -z "$touched" ]; then warn "nothing was changed"; else warn "the old rules and sets are in force again"; fi
		finish "$1"
		exit 1
	fi
	warn "and the old rules could not be put back: $failure"
	[ ! -e "$RUN/pending" ] || warn "that is tried again in $confirm seconds, or by apply.sh --rollback"
	warn "look at iptables-save and ip6tables-save now; what was before is kept in $1"
	keep_work=1
	exit 3
}

# drop_pending takes away what waits for confirmation, in one step.
drop_pending() {
	rm -rf "$RUN/pending.part"
	mv "$RUN/pending" "$RUN/pending.part" 2>/dev/null
	rm -rf "$RUN/pending.part"
}

# set_names FOLDER prints the managed sets of a compiled folder.
set_names() { awk '$1 == "create" && $2 ~ /-new$/ { sub(/-new$/, "", $2); print $2 }' "$1/ipset.restore" 2>/dev/null; }

# others_names FOLDER prints the sets of a compiled folder that others fill.
others_names() {
	awk '$1 == "create" && !sub(/-new$/, "", $2) { all[$2] = 1; next } $1 == "create" { managed[$2] = 1 }
		END { for (s in all) if (!(s in managed)) print s }' "$1/ipset.restore" 2>/dev/null
}

# know FOLDER, normalized, lists in $W/before the sets that are ours already: of the last
# folder, of runs that were killed, of our rules; in $W/known those with the folder's; and in
# $W/others those that others fill, by this folder or the one before.
know() {
	{
		cat "$RUN/made" "$RUN/pending/new/managed" 2>/dev/null
		! last=$(good) || set_names "$last"
		{
			cat "$W"/save? 2>/dev/null
			for kind in nft legacy; do
				[ "$kind" != "$backend" ] && tables $kind || continue
				for f in 4 6; do "$(backend=$kind command_of $f -save)" -t filter 2>/dev/null; done
			done
		} | sed -n '/--comment "dockerfw /p' | grep -o -e '--match-set [^ ]*' | sed 's/^[^ ]* //; s/-alt$//'
	} | sort -u >"$W/named" &&
		{
			cat "$1/unmanaged" "$RUN/theirs" "$RUN/theirs.next" 2>/dev/null
			! last=$(good) || others_names "$last"
		} | awk '{ print $1 }' | sort -u >"$W/others" &&
		awk 'stage == "ours" { ours[$1] = 1; next } !($1 in ours)' stage=ours "$1/managed" stage=others "$W/others" >"$W/theirs" &&
		content <"$W/named" >"$W/content" && awk '{ print $2 } $1 == "create" && $3 == "list:set" { list[$2] = 1 } $1 == "add" && ($2 in list) { print $3 }' "$W/content" | sort -u >"$W/before" &&
		sort -u "$W/before" "$W/named" "$1/managed" | awk 'stage == "others" { theirs[$1] = 1; next } !($1 in theirs)' stage=others "$W/theirs" stage=known - >"$W/known"
}

# begin writes down which sets the run may make, and which it may come to use that are of
# others: from here on it changes something, and if it is killed, the next one has to know.
begin() {
	cp "$W/theirs" "$RUN/theirs.part" && mv "$RUN/theirs.part" "$RUN/theirs.next" &&
		cp "$W/known" "$RUN/made.part" && mv "$RUN/made.part" "$RUN/made"
}

# recover FOLDER, normalized, brings in order what a killed run left: sets in use as
# NAME-alt. Others of that name are in nobody's way, and go.
recover() {
	destroy -alt $(cat "$W/known") && return 0
	for f in $(families "$1"); do
		# It may have been killed between the two tables.
		present -alt $(of_family "$f" <"$1/managed") | awk '{ s = $1; sub(/-alt$/, "", s); print s, $1 }' >"$W/map$f" &&
			put "$f" "$1" "$W/map$f" && own_names "$f" "$1" || return 1
	done
}

# finish FOLDER: of the sets that are ours, nothing but those of this folder is needed
# any more. What somebody else holds stays, and is written down as ours. Where no run began,
# NAME-new and NAME-alt are not ours.
finish() {
	cat "$RUN/made" >"$W/made" 2>/dev/null
	destroy -new $(cat "$W/made")
	destroy -alt $(cat "$W/made")
	destroy '' $(unneeded "$1") ||
		say "sets that are not needed any more are $failure"
	{
		present '' $(unneeded "$1")
		present -new $(cat "$W/made") | sed 's/-new$//'
		present -alt $(cat "$W/made") | sed 's/-alt$//'
	} >"$RUN/made.part" && mv "$RUN/made.part" "$RUN/made"
	[ -s "$RUN/made" ] || rm -f "$RUN/made"
	rm -f "$RUN/theirs.next"
}

# settle FOLDER, normalized, once it is in force: nothing else of ours is left.
settle() {
	leave_others || warn "$failure"
	awk '{ print $1 }' "$1/unmanaged" >"$RUN/theirs"
	finish "$1"
}

# leave_others takes our rules out of tables that Docker does not use.
leave_others() {
	chosen=$backend status=0
	for backend in $(other_backends); do
		for f in 4 6; do
			take_out $f || status=1
		done
	done
	backend=$chosen
	return $status
}

# take_out FAMILY takes our rules and chains out of the tables of $backend. DOCKER-USER, and
# the jump to it if there is one, are left to Docker.
take_out() {
	command -v "$(command_of "$1" -save)" >/dev/null 2>&1 || return 0
	save "$1" || {
		# A kernel without the family has nothing of ours.
		[ -s "$W/save$1" ] || return 0
		return 1
	}
	seen=1
	mkdir -p "$W/none" && true >"$W/none/target$1" && true >"$W/none/rules$1" && transaction "$1" "$W/none" /dev/null >"$W/removal" || {
		failure="cannot write to $RUN"
		return 1
	}
	[ ! -f "$W/second$1" ] || second_line "$1" "$W/none" /dev/null "$W/second$1" >>"$W/removal"
	[ "$(grep -c -v -e '^[*:]' -e '^COMMIT$' "$W/removal")" -gt 0 ] || return 0
	restore "$1" <"$W/removal"
}
