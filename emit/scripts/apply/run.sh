
# ---- The copy of what was loaded last, for boot, and for the sets of earlier versions.

good() { [ -f "$STATE/good" ] && printf '%s/%s' "$STATE" "$(cat "$STATE/good")"; }

# keep_copy FOLDER makes it the last good one, in one step, and notes in which tables it is.
keep_copy() {
	id=folder-$(sha256sum <"$1/manifest.json" | cut -c1-16)
	mkdir -p "$STATE" || return 1
	if [ "$(cat "$STATE/good" 2>/dev/null)" != "$id" ] || ! (check_digests "$STATE/$id") 2>/dev/null; then
		rm -rf "${STATE:?}/$id.part" && cp -R "$1" "$STATE/$id.part" && rm -rf "${STATE:?}/$id" && mv "$STATE/$id.part" "$STATE/$id" &&
			printf '%s\n' "$id" >"$STATE/good.part" && sync && mv "$STATE/good.part" "$STATE/good" || return 1
	fi
	cp "$W/backend" "$STATE/backend" || return 1
	for old in "$STATE"/folder-*; do
		[ "$old" = "$STATE/$id" ] || rm -rf "$old"
	done
	rm -f "$STATE/unconfirmed"
}

# ---- The ways to run.

start() {
	[ $mode != boot ] || trap 'warn "NOTHING WAS LOADED: if no rules are there already, published ports are open to everyone"' EXIT
	[ "$(id -u)" = 0 ] || die "root is needed"
	need awk sed grep sort comm sha256sum flock iptables iptables-save iptables-restore
	mkdir -p "$RUN" 2>/dev/null && (: >>"$RUN/lock") 2>/dev/null || die "cannot write to $RUN"
	exec 9>>"$RUN/lock"
	waited=0
	# Where somebody took the folder away meanwhile, the lock is another file.
	# dash and busybox know -ef.
	# shellcheck disable=SC3013
	until flock -n 9 && [ "$RUN/lock" -ef /proc/self/fd/9 ]; do
		[ $waited -lt 60 ] || [ $mode = expire ] || die "another apply.sh has been at work for a minute (lock $RUN/lock)"
		waited=$((waited + 1))
		sleep 1
		mkdir -p "$RUN" && exec 9>>"$RUN/lock"
	done
	rm -rf "$RUN"/work.* # of killed runs
	W=$RUN/work.$$
	mkdir "$W" 2>/dev/null || die "cannot write to $RUN"
	keep_work=''
	trap '[ -n "$keep_work" ] || rm -rf "$W"' EXIT
	trap 'exit 1' INT TERM HUP
	# Boot closes everything without it.
	[ $mode = boot ] || need_ipset
}

need_ipset() {
	need ipset
	ipset list -n >/dev/null 2>"$W/err" || die "ipset does not work here: $(cat "$W/err")"
}

# open FOLDER makes it ready to load, as $W/new.
open() {
	need_ipset
	check_digests "$1"
	choose_backend
	normalize "$1" "$W/new" && drop_families "$W/new" || die "cannot read $1, or not write to $RUN"
	for f in $(families "$W/new"); do
		need "$(command_of "$f")" "$(command_of "$f" -save)" "$(command_of "$f" -restore)"
		save "$f" || die "$failure"
	done
	know "$W/new" || die "${failure:-cannot write to $RUN}"
	# What no run that was killed made, and no rule of ours uses, under these names is of others.
	for s in $(present -alt $(cat "$W/known")) $(present -new $(cat "$W/known")); do
		! grep -q -x -F -e "${s%-???}" "$RUN/made" 2>/dev/null || continue
		! grep -h -F -e "--match-set $s " "$W"/save? | grep -q -e '--comment "dockerfw ' || continue
		# One that was saved in the midst of a run may be back after a reboot.
		[ $mode != boot ] || ! ipset destroy "$s" 2>/dev/null || continue
		die "there is a set $s that is not dockerfw's, and dockerfw needs that name: give it another one, or destroy it"
	done
}

# drop_families FOLDER, normalized, adds a family that it has no rules of, if an earlier
# version had: those are to go.
drop_families() {
	for f in 4 6; do
		[ ! -f "$1/rules$f" ] && command -v "$(command_of $f -save)" >/dev/null 2>&1 && save $f || continue
		grep -q -e '^:DOCKERFW' -e '--comment "dockerfw ' "$W"/save$f "$W"/second$f 2>/dev/null || continue
		true >"$1/rules$f" && true >"$1/target$f" || return 1
	done
}

# check finds out what can be known before anything is changed.
check() {
	for f in $(families "$W/new"); do
		foreign "$f" "$W/new" >"$W/foreign"
		if [ -s "$W/foreign" ] && [ -z "$force" ]; then
			warn "rules of others stand where loading puts ours ($(family_name "$f")):"
			sed 's/^/  /' "$W/foreign" >&2
			die "set install = \"jump\" on the host, so that both have their place, or delete them with --force"
		fi
	done
	if [ -z "$force" ]; then
		awk 'stage == "before" { ours[$1] = 1; next } stage == "others" { delete ours[$1]; next } !($1 in ours)' \
			stage=before "$W/before" stage=others "$W/others" stage=new "$W/new/managed" >"$W/first"
		while read -r s; do
			! exists "$s" || die "there is a set $s that is not dockerfw's: give the policy's another name, or say managed = false, or replace what is in it with --force"
		done <"$W/first"
	fi
	while read -r name header; do
		printf '%s\n' "$name" >"$W/one" && content <"$W/one" >"$W/have" || die "${failure:-cannot write to $RUN}"
		have=$(awk '$1 == "create" { print $3, $4, $5 }' "$W/have")
		want=$(printf '%s\n' "$header" | cut -d' ' -f1-3)
		[ -z "$have" ] || [ "$have" = "$want" ] || die "set $name, which others fill, is a $have here, and the policy says $want"
	done <"$W/new/unmanaged"
	rehearse
}

# rehearse loads the folder into a network namespace of its own: what this kernel or
# these tools cannot do shows there, and so does how they print the rules.
rehearse() {
	for f in $(families "$W/new"); do
		true >"$W/rehearse.second" && true >"$W/second.want$f" &&
			mv "$W/save$f" "$W/save" && true >"$W/save$f" && transaction "$f" "$W/new" /dev/null >"$W/rehearse" &&
			as_saved <"$W/rehearse" >"$W/want$f" && mv "$W/save" "$W/save$f" &&
			{
				[ ! -f "$W/second$f" ] || second_line "$f" "$W/new" /dev/null /dev/null >"$W/rehearse.second" &&
					as_saved <"$W/rehearse.second" >"$W/second.want$f"
			} &&
			{
				sed 's/^/create /' "$W/new/unmanaged" && cat "$W/new/sets"
			} >"$W/rehearse.sets" || die "cannot write to $RUN"
		unshare --net sh -c : 2>/dev/null || {
			warn "no network namespace can be made here: the files are not tried out first"
			continue
		}
		XTABLES_LOCKFILE=$W/xtables.lock unshare --net sh -c 'ipset restore <"$1" && "$2-restore" --noflush <"$3" && "$2-save" -t filter >"$4" &&
				{ [ ! -s "$5" ] || "$2-restore" --noflush <"$5" && "$2-save" -t security >"$6"; }' sh \
			"$W/rehearse.sets" "$(command_of "$f")" "$W/rehearse" "$W/want$f" "$W/rehearse.second" "$W/second.want$f" >"$W/err" 2>&1 9>&- ||
			die "this host cannot load the $(family_name "$f") rules: $(cat "$W/err")"
	done
}

# report prints what is not in force yet.
report() {
	for f in $(families "$W/new"); do
		differs "$f" "$W/new" | sed "s/^/$(family_name "$f"): /"
		changed "$f" "$W/new" >"$W/changed" || die "$failure"
		while read -r s; do
			if exists "$s"; then printf 'set %s differs\n' "$s"; else printf 'set %s is missing\n' "$s"; fi
		done <"$W/changed"
	done
	for kind in $(other_backends); do
		printf 'rules of dockerfw are in iptables-%s, which Docker does not use\n' "$kind"
	done
}

# in_force, after loading: does the host have it?
in_force() {
	for f in $(families "$W/new"); do
		save "$f" || return 1
		failure=$(differs "$f" "$W/new" | head -n 1)
		[ -z "$failure" ] || {
			failure="loaded, but then $(family_name "$f"): $failure"
			return 1
		}
	done
	failure=''
}

apply() {
	[ ! -e "$RUN/pending" ] || die "the last change waits for confirmation: apply.sh --keep, or apply.sh --rollback"
	[ -z "$cut" ] || need conntrack ip
	[ -z "$confirm" ] || need setsid
	open "$HERE"
	check
	report >"$W/report"
	if [ -n "$dry" ]; then
		if [ -s "$W/report" ]; then say "would change:" && sed 's/^/  /' "$W/report"; else say "nothing to do: all of it is in force"; fi
		return 0
	fi
	# A full disk shows here, before anything is changed.
	mkdir -p "$STATE" 2>/dev/null && rm -rf "$STATE/probe" && cp -R "$HERE" "$STATE/probe" 2>/dev/null && cp -R "$HERE" "$W/folder" && rm -rf "$STATE/probe" || {
		rm -rf "$STATE/probe"
		die "cannot write to $STATE and $RUN"
	}
	snapshot "$W/new" "$W/old" || die "what is in force cannot be saved to $W: $failure"
	# Loading and going back write to files as well: the room for them is there.
	for i in 1 2 3 4; do
		mkdir "$W/room$i" 2>/dev/null && cp -R "$W/new" "$W/old" "$W/save"? "$W/room$i" 2>/dev/null || die "cannot write to $RUN: the disk is full"
	done
	rm -rf "$W"/room?
	trap '' INT TERM HUP # from here on it ends by itself
	begin || die "cannot write to $RUN"
	recover "$W/old" || roll_back "$W/old"
	if [ ! -s "$W/report" ]; then
		settle "$W/new"
		say "nothing to do: all of it is in force"
		keep_copy "$HERE" || warn "cannot write the copy for boot to $STATE"
		[ -z "$cut" ] || cut_connections "$W/new"
		return 0
	fi
	[ -z "$confirm" ] || await
	load "$W/new" && in_force || roll_back "$W/old"
	rm -f "$RUN/pending/half"
	say "loaded $(cat "$W/new"/rules? | grep -c '^-[AI] ') rules and $(grep -c . "$W/new/managed") sets"
	[ -z "$cut" ] || cut_connections "$W/new"
	if [ -n "$confirm" ]; then
		say "it goes back in $confirm seconds unless you confirm: $HERE/apply.sh --keep"
		return 0
	fi
	keep_copy "$HERE" || warn "cannot write the copy for boot to $STATE"
	settle "$W/new"
}

# await starts what rolls back unless somebody confirms. It stands before anything is
# loaded, for a run that is killed; it does not hang on the terminal, and holds no lock. Where
# going back fails, it tries again.
await() {
	failure="what is to go back in $confirm seconds cannot be prepared in $RUN and $STATE"
	part=$RUN/pending.part
	rm -rf "$part" && mkdir "$part" && true >"$part/half" && cp -R "$W/old" "$W/new" "$W/folder" "$W/folder/apply.sh" "$part" &&
		printf '%s\n' "$backend" >"$part/backend" && printf '%s\n' "$$" >"$part/token" &&
		sha256sum <"$HERE/manifest.json" >"$STATE/unconfirmed" && mv "$part" "$RUN/pending" || roll_back "$W/old"
	setsid sh -c 'n=0; while [ -e "$2" ] && [ $n -lt "$1" ]; do sleep 1; n=$((n + 1)); done
		while [ -e "$2" ] && ! sh "$2" --expire "$3"; do sleep 5; done' sh "$confirm" "$RUN/pending/apply.sh" "$$" </dev/null >>"$RUN/confirm.log" 2>&1 9>&- &
}

keep() {
	[ -e "$RUN/pending" ] || die "nothing waits for confirmation"
	[ ! -e "$RUN/pending/half" ] || die "what waits for confirmation was not loaded to its end: apply.sh --rollback, and load it again"
	backend=$(cat "$RUN/pending/backend") && cp "$RUN/pending/backend" "$W/backend" && keep_copy "$RUN/pending/folder" ||
		die "cannot write to $STATE; it is not kept yet"
	know "$RUN/pending/new" && settle "$RUN/pending/new"
	drop_pending
	say "kept"
}

# go_back undoes what waits for confirmation.
go_back() {
	[ -e "$RUN/pending" ] || die "nothing waits for confirmation"
	backend=$(cat "$RUN/pending/backend")
	trap '' INT TERM HUP
	rm -f "$RUN"/pending/old/jump? # the engine may have taken the jump for its own
	know "$RUN/pending/old" && begin && load "$RUN/pending/old" || {
		warn "the old rules could not be put back: $failure"
		exit 3
	}
	finish "$RUN/pending/old"
	drop_pending
	rm -f "$STATE/unconfirmed"
	say "the old rules and sets are in force again"
}

boot() {
	trap '' INT TERM HUP
	folder=$HERE unconfirmed=''
	if [ -f "$STATE/unconfirmed" ] && [ "$(sha256sum <"$HERE/manifest.json" 2>/dev/null)" = "$(cat "$STATE/unconfirmed")" ]; then
		unconfirmed=1
		if good >/dev/null; then
			warn "$HERE was never confirmed: loading what was in force before it"
			folder=$(good)
		else
			warn "$HERE was never confirmed, and there was nothing before it: loading it all the same"
		fi
	fi
	for try in "$folder" "$(good)"; do
		[ -n "$try" ] || continue
		if (
			open "$try"
			for f in $(families "$W/new"); do
				foreign "$f" "$W/new" | sed "s/^/apply.sh: deleting, since it is of others: /" >&2
			done
			snapshot "$W/new" "$W/old" && begin && recover "$W/old" && load "$W/new" || die "${failure:-cannot write to $RUN}"
			settle "$W/new"
		); then
			say "loaded $try"
			# What waits for confirmation is not in force any more, unless that was loaded.
			[ "$(sha256sum <"$try/manifest.json")" = "$(sha256sum 2>/dev/null <"$RUN/pending/folder/manifest.json")" ] || drop_pending
			rm -f "$RUN/pending/half"
			[ "$try" != "$HERE" ] || [ -n "$unconfirmed" ] || keep_copy "$HERE" || warn "cannot write the copy for boot to $STATE"
			return 0
		fi
		rm -rf "$W/new" "$W/old"
		warn "CANNOT LOAD $try"
	done
	choose_backend
	if [ "${DOCKERFW_BOOT_FALLBACK:-closed}" = open ]; then
		for f in 4 6; do
			if save $f && grep -q -e '--comment "dockerfw ' "$W/save$f"; then
				warn "NOTHING WAS LOADED for $(family_name $f): the rules that were there stay"
			else
				warn "NO RULES ARE LOADED for $(family_name $f): published ports are open to everyone"
			fi
		done
		exit 1
	fi
	closed=1
	for f in 4 6; do
		command -v "$(command_of $f)" >/dev/null 2>&1 || continue
		if save $f && close_all $f >"$W/closed" && restore $f <"$W/closed"; then
			[ ! -f "$W/second$f" ] || close_second $f | restore $f || warn "$failure"
			continue
		fi
		warn "$failure"
		warn "NOT EVEN RULES THAT CLOSE EVERYTHING CAN BE LOADED FOR $(family_name $f): published ports are open to everyone"
		closed=''
	done
	[ -z "$closed" ] || warn "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE until apply.sh works again"
	exit 1
}

# close_all FAMILY keeps what arrives on external interfaces from containers. Which
# interfaces those are, and which ports docker-proxy has, is taken from the compiled
# files; if they cannot be read, only what comes from containers passes.
close_all() {
	comment='-m comment --comment "dockerfw closed"'
	external=$(for i in iptables ip6tables; do
		# One that is cut off may not have all of them.
		! grep -q '^COMMIT$' "$HERE/$i.restore" 2>/dev/null || cat "$HERE/$i.restore"
	done | sed -n 's/^-[AI] .* -i \([^ ]*\) .*--comment "dockerfw established".*/\1/p' | sort -u)
	printf '*filter\n:DOCKERFW - [0:0]\n:DOCKERFW-INPUT - [0:0]\n'
	grep -q '^:DOCKER-USER ' "$W/save$1" || printf ':DOCKER-USER - [0:0]\n'
	printf -- '-A %s -m conntrack --ctstate RELATED,ESTABLISHED %s -j RETURN\n' DOCKERFW "$comment" DOCKERFW-INPUT "$comment"
	for i in $external; do printf -- '-A DOCKERFW -i %s %s -j DROP\n' "$i" "$comment"; done
	if [ -z "$external" ]; then
		for i in docker+ br-+; do printf -- '-A DOCKERFW -i %s %s -j RETURN\n' "$i" "$comment"; done
		printf -- '-A DOCKERFW %s -j DROP\n' "$comment"
	fi
	sed -n 's/^\(-A DOCKERFW-INPUT .* -j \)DOCKERFW-PROXY$/\1DROP/p' "$HERE/$(command_of_file "$1").restore" 2>/dev/null
	# Of what stands there only the jumps matter: ours go first, and once.
	awk '/^-A (DOCKER-USER|INPUT) -j DOCKERFW(-INPUT)?$/ { sub(/^-A/, "-D"); print }' "$W/save$1"
	printf -- '-I DOCKER-USER 1 -j DOCKERFW\n-I INPUT 1 -j DOCKERFW-INPUT\n'
	grep -q '^-A FORWARD -j DOCKER-USER$' "$W/save$1" || printf -- '-I FORWARD 1 -j DOCKER-USER\n'
	printf 'COMMIT\n'
}

# close_second FAMILY puts the rules of close_all into the security table: see second_line.
close_second() {
	printf '*security\n'
	grep '^:DOCKERFW' "$W/second$1" | sed 's/ .*/ - [0:0]/' # flushed
	printf ':DOCKERFW - [0:0]\n'
	grep '^-A DOCKERFW ' "$W/closed"
	sed -n 's/^-A FORWARD -j DOCKERFW$/-D FORWARD -j DOCKERFW/p' "$W/second$1"
	printf -- '-I FORWARD 1 -j DOCKERFW\nCOMMIT\n'
}

remove() {
	trap '' INT TERM HUP
	mkdir -p "$W/new" && true >"$W/new/managed" && true >"$W/new/unmanaged" || die "cannot write to $RUN"
	for f in 4 6; do save $f; done 2>/dev/null
	failure=''
	know "$W/new" || die "${failure:-cannot write to $RUN}"
	drop_pending
	kinds='' seen=''
	for kind in nft legacy; do
		! tables $kind || kinds="$kinds $kind"
	done
	for backend in ${kinds:-any}; do
		[ "$backend" != any ] || backend=''
		for f in 4 6; do
			take_out $f || {
				warn "$failure"
				warn "$(family_name $f): its rules are still there"
				exit 1
			}
		done
	done
	[ -n "$seen" ] || die "no rules can be read: $failure"
	settle "$W/new"
	rm -rf "$STATE"/folder-* "$STATE/good" "$STATE/unconfirmed" "$STATE/backend" "$RUN/theirs"
	say "removed: no rule of dockerfw's is left"
}

start
case $mode in
apply) apply ;;
boot) boot ;;
keep) keep ;;
rollback) go_back ;;
remove) remove ;;
expire)
	[ "$(cat "$RUN/pending/token" 2>/dev/null)" = "$token" ] || exit 0 # confirmed meanwhile
	warn "nobody confirmed"
	go_back
	;;
esac
