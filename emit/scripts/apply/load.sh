
# ---- Loading a normalized folder. A function that fails sets $failure; $touched is set once
# rules have been changed.

failure='' touched=''

# load FOLDER changes the rules of each family, then gives the sets their own names.
load() {
	make_unmanaged "$1" || return 1
	for f in $(families "$1"); do
		switch_rules "$f" "$1" || return 1
	done
	for f in $(families "$1"); do
		own_names "$f" "$1" || return 1
	done
}

# make_unmanaged FOLDER creates the unmanaged sets that are missing.
make_unmanaged() {
	while read -r name header; do
		exists "$name" || { printf 'create %s %s\n' "$name" "$header" >"$W/input" && make_sets "$W/input"; } || return 1
	done <"$1/unmanaged"
}

# switch_rules FAMILY FOLDER loads the rules with the new content of changed sets.
switch_rules() {
	# In a rollback of a partly loaded folder, rules use NAME-alt: they change to NAME.
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

# alternatives FAMILY FOLDER prints the sets of the folder that exist as NAME-alt.
alternatives() { present -alt $(of_family "$1" <"$2/managed") | sed 's/-alt$//'; }

# own_names FAMILY FOLDER changes the rules from NAME-alt to NAME.
own_names() {
	alts=$(alternatives "$1" "$2")
	[ -n "$alts" ] || return 0
	rename_back "$1" "$2" $alts && put "$1" "$2" /dev/null && destroy -alt $alts
}

# snapshot FOLDER TO makes a normalized folder of the current rules and sets that loading FOLDER
# may change.
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

# roll_back SNAPSHOT undoes a load that failed with $failure, and ends the run.
roll_back() {
	warn "$failure"
	if [ -z "$touched" ] || load "$1"; then
		[ -z "$confirm" ] || drop_pending
		[ -z "$confirm" ] || rm -f "$STATE/unconfirmed"
		if [ -z "$touched" ]; then warn "nothing was changed"; else warn "rolled back to the previous rules and sets"; fi
		finish "$1"
		exit 1
	fi
	warn "the rollback failed: $failure"
	[ ! -e "$RUN/pending" ] || warn "it is retried in $confirm seconds; to retry now, run apply.sh --rollback"
	warn "check iptables-save and ip6tables-save now; the previous rules and sets are kept in $1"
	keep_work=1
	exit 3
}

# drop_pending removes the change that waits for confirmation, in one step.
drop_pending() {
	rm -rf "$RUN/pending.part"
	mv "$RUN/pending" "$RUN/pending.part" 2>/dev/null
	rm -rf "$RUN/pending.part"
}

# set_names FOLDER prints the managed sets of a compiled folder.
set_names() { awk '$1 == "create" && $2 ~ /-new$/ { sub(/-new$/, "", $2); print $2 }' "$1/ipset.restore" 2>/dev/null; }

# unmanaged_names FOLDER prints the unmanaged sets of a compiled folder.
unmanaged_names() {
	awk '$1 == "create" && !sub(/-new$/, "", $2) { all[$2] = 1; next } $1 == "create" { managed[$2] = 1 }
		END { for (s in all) if (!(s in managed)) print s }' "$1/ipset.restore" 2>/dev/null
}

# know FOLDER, normalized, writes to $W/before the sets that are ours already (of the last
# folder, of killed runs, in our rules), to $W/known those and the ones of the folder, and to
# $W/others the unmanaged sets of this folder and the one before.
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
			! last=$(good) || unmanaged_names "$last"
		} | awk '{ print $1 }' | sort -u >"$W/others" &&
		awk 'stage == "ours" { ours[$1] = 1; next } !($1 in ours)' stage=ours "$1/managed" stage=others "$W/others" >"$W/theirs" &&
		content <"$W/named" >"$W/content" && awk '{ print $2 } $1 == "create" && $3 == "list:set" { list[$2] = 1 } $1 == "add" && ($2 in list) { print $3 }' "$W/content" | sort -u >"$W/before" &&
		sort -u "$W/before" "$W/named" "$1/managed" | awk 'stage == "others" { theirs[$1] = 1; next } !($1 in theirs)' stage=others "$W/theirs" stage=known - >"$W/known"
}

# begin records which sets the run may create and which unmanaged ones it may use: from here
# on the run makes changes, and if it is killed, the next run needs the list.
begin() {
	cp "$W/theirs" "$RUN/theirs.part" && mv "$RUN/theirs.part" "$RUN/theirs.next" &&
		cp "$W/known" "$RUN/made.part" && mv "$RUN/made.part" "$RUN/made"
}

# recover FOLDER, normalized, repairs what a killed run left: sets in use as NAME-alt. Those
# that are not in use are destroyed.
recover() {
	destroy -alt $(cat "$W/known") && return 0
	for f in $(families "$1"); do
		# The run may have been killed between the two tables.
		present -alt $(of_family "$f" <"$1/managed") | awk '{ s = $1; sub(/-alt$/, "", s); print s, $1 }' >"$W/map$f" &&
			put "$f" "$1" "$W/map$f" && own_names "$f" "$1" || return 1
	done
}

# finish FOLDER destroys our sets that this folder does not contain. A set in foreign rules
# stays, and is recorded as ours. Unless a run began, NAME-new and NAME-alt are not ours.
finish() {
	cat "$RUN/made" >"$W/made" 2>/dev/null
	destroy -new $(cat "$W/made")
	destroy -alt $(cat "$W/made")
	destroy '' $(unneeded "$1") ||
		say "$failure"
	{
		present '' $(unneeded "$1")
		present -new $(cat "$W/made") | sed 's/-new$//'
		present -alt $(cat "$W/made") | sed 's/-alt$//'
	} >"$RUN/made.part" && mv "$RUN/made.part" "$RUN/made"
	[ -s "$RUN/made" ] || rm -f "$RUN/made"
	rm -f "$RUN/theirs.next"
}

# settle FOLDER, normalized and loaded, removes everything else that is ours.
settle() {
	clear_other_backend || warn "$failure"
	awk '{ print $1 }' "$1/unmanaged" >"$RUN/theirs"
	finish "$1"
}

# clear_other_backend removes our rules from the backend that Docker does not use.
clear_other_backend() {
	chosen=$backend status=0
	for backend in $(other_backends); do
		for f in 4 6; do
			remove_rules $f || status=1
		done
	done
	backend=$chosen
	return $status
}

# remove_rules FAMILY removes our rules and chains from the tables of $backend. DOCKER-USER and the
# jump to it stay for Docker.
remove_rules() {
	command -v "$(command_of "$1" -save)" >/dev/null 2>&1 || return 0
	save "$1" || {
		# A kernel without the family has no rules of ours.
		[ -s "$W/save$1" ] || return 0
		return 1
	}
	seen=1
	mkdir -p "$W/none" && true >"$W/none/target$1" && true >"$W/none/rules$1" && transaction "$1" "$W/none" /dev/null >"$W/removal" || {
		failure="cannot write to $RUN"
		return 1
	}
	[ ! -f "$W/fallback$1" ] || fallback_rules "$1" "$W/none" /dev/null "$W/fallback$1" >>"$W/removal"
	[ "$(grep -c -v -e '^[*:]' -e '^COMMIT$' "$W/removal")" -gt 0 ] || return 0
	restore "$1" <"$W/removal"
}
