
# ---- The copy of the folder that was loaded last: --boot falls back to it, and its sets are ours.

good() { [ -f "$STATE/good" ] && printf '%s/%s' "$STATE" "$(cat "$STATE/good")"; }

# keep_copy FOLDER makes it the last good one, in one step, and records the backend.
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

# ---- The modes.

start() {
	[ $mode != boot ] || trap 'warn "NOTHING WAS LOADED: unless rules were loaded before, published ports are open to everyone"' EXIT
	[ "$(id -u)" = 0 ] || die "root is required"
	need awk sed grep sort comm sha256sum flock iptables iptables-save iptables-restore
	mkdir -p "$RUN" 2>/dev/null && (: >>"$RUN/lock") 2>/dev/null || die "cannot write to $RUN"
	exec 9>>"$RUN/lock"
	waited=0
	# If the folder was removed meanwhile, the lock is another file.
	# dash and busybox know -ef.
	# shellcheck disable=SC3013
	until flock -n 9 && [ "$RUN/lock" -ef /proc/self/fd/9 ]; do
		[ $waited -lt 60 ] || [ $mode = expire ] || die "another apply.sh has held the lock $RUN/lock for a minute"
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
	# Without ipset, boot closes all containers.
	[ $mode = boot ] || need_ipset
}

need_ipset() {
	need ipset
	ipset list -n >/dev/null 2>"$W/err" || die "ipset does not work on this host: $(cat "$W/err")"
}

# open FOLDER normalizes it to $W/new, ready to load.
open() {
	need_ipset
	check_digests "$1"
	choose_backend
	normalize "$1" "$W/new" && drop_families "$W/new" || die "cannot read $1 or cannot write to $RUN"
	for f in $(families "$W/new"); do
		need "$(command_of "$f")" "$(command_of "$f" -save)" "$(command_of "$f" -restore)"
		save "$f" || die "$failure"
	done
	know "$W/new" || die "${failure:-cannot write to $RUN}"
	# A set with such a name is foreign unless a killed run made it or our rules use it.
	for s in $(present -alt $(cat "$W/known")) $(present -new $(cat "$W/known")); do
		! grep -q -x -F -e "${s%-???}" "$RUN/made" 2>/dev/null || continue
		! grep -h -F -e "--match-set $s " "$W"/save? | grep -q -e '--comment "dockerfw ' || continue
		# A set that was saved during a run may be restored after a reboot.
		[ $mode != boot ] || ! ipset destroy "$s" 2>/dev/null || continue
		die "set $s exists and was not created by dockerfw, which needs this name: rename or destroy the set"
	done
}

# drop_families FOLDER, normalized, adds each family that it has no rules for but an earlier
# policy had, so that loading removes those.
drop_families() {
	for f in 4 6; do
		[ ! -f "$1/rules$f" ] && command -v "$(command_of $f -save)" >/dev/null 2>&1 && save $f || continue
		grep -q -e '^:DOCKERFW' -e '--comment "dockerfw ' "$W"/save$f "$W"/fallback$f 2>/dev/null || continue
		true >"$1/rules$f" && true >"$1/target$f" || return 1
	done
}

# check finds all errors that can be found before anything is changed.
check() {
	for f in $(families "$W/new"); do
		foreign "$f" "$W/new" >"$W/foreign"
		if [ -s "$W/foreign" ] && [ -z "$force" ]; then
			warn "chains that loading replaces contain rules that dockerfw did not create ($(family_name "$f")):"
			sed 's/^/  /' "$W/foreign" >&2
			die "to keep these rules, set install = \"jump\" in the host block; to delete them, use --force"
		fi
	done
	if [ -z "$force" ]; then
		awk 'stage == "before" { ours[$1] = 1; next } stage == "others" { delete ours[$1]; next } !($1 in ours)' \
			stage=before "$W/before" stage=others "$W/others" stage=new "$W/new/managed" >"$W/first"
		while read -r s; do
			! exists "$s" || die "set $s exists and was not created by dockerfw: rename the set in the policy, set managed = false to use this one, or use --force to replace it"
		done <"$W/first"
	fi
	while read -r name header; do
		printf '%s\n' "$name" >"$W/one" && content <"$W/one" >"$W/have" || die "${failure:-cannot write to $RUN}"
		have=$(awk '$1 == "create" { print $3, $4, $5 }' "$W/have")
		want=$(printf '%s\n' "$header" | cut -d' ' -f1-3)
		[ -z "$have" ] || [ "$have" = "$want" ] || die "unmanaged set $name is a $have on this host, but the policy declares a $want"
	done <"$W/new/unmanaged"
	rehearse
}

# rehearse loads the folder into a new network namespace: it fails there if this kernel or
# these tools do not support something, and it shows how iptables-save prints the rules.
rehearse() {
	for f in $(families "$W/new"); do
		true >"$W/rehearse.fallback" && true >"$W/fallback.want$f" &&
			mv "$W/save$f" "$W/save" && true >"$W/save$f" && transaction "$f" "$W/new" /dev/null >"$W/rehearse" &&
			as_saved <"$W/rehearse" >"$W/want$f" && mv "$W/save" "$W/save$f" &&
			{
				[ ! -f "$W/fallback$f" ] || fallback_rules "$f" "$W/new" /dev/null /dev/null >"$W/rehearse.fallback" &&
					as_saved <"$W/rehearse.fallback" >"$W/fallback.want$f"
			} &&
			{
				sed 's/^/create /' "$W/new/unmanaged" && cat "$W/new/sets"
			} >"$W/rehearse.sets" || die "cannot write to $RUN"
		unshare --net sh -c : 2>/dev/null || {
			warn "cannot create a network namespace: the files are not tested before they are loaded"
			continue
		}
		XTABLES_LOCKFILE=$W/xtables.lock unshare --net sh -c 'ipset restore <"$1" && "$2-restore" --noflush <"$3" && "$2-save" -t filter >"$4" &&
				{ [ ! -s "$5" ] || "$2-restore" --noflush <"$5" && "$2-save" -t security >"$6"; }' sh \
			"$W/rehearse.sets" "$(command_of "$f")" "$W/rehearse" "$W/want$f" "$W/rehearse.fallback" "$W/fallback.want$f" >"$W/err" 2>&1 9>&- ||
			die "this host cannot load the $(family_name "$f") rules: $(cat "$W/err")"
	done
}

# report prints what loading the folder would change on the host.
report() {
	for f in $(families "$W/new"); do
		differs "$f" "$W/new" | sed "s/^/$(family_name "$f") /"
		changed "$f" "$W/new" >"$W/changed" || die "$failure"
		while read -r s; do
			if exists "$s"; then printf 'set %s: replace the content\n' "$s"; else printf 'set %s: create\n' "$s"; fi
		done <"$W/changed"
	done
	for kind in $(other_backends); do
		printf 'iptables-%s: remove the dockerfw rules from these tables, which Docker does not use\n' "$kind"
	done
}

# in_force fails if the host differs from the folder after loading.
in_force() {
	for f in $(families "$W/new"); do
		save "$f" || return 1
		failure=$(differs "$f" "$W/new" | head -n 1)
		[ -z "$failure" ] || {
			failure="the host still differs after loading: $(family_name "$f") $failure"
			return 1
		}
	done
	failure=''
}

apply() {
	[ ! -e "$RUN/pending" ] || die "the last change waits for confirmation: run apply.sh --keep or apply.sh --rollback"
	[ -z "$cut" ] || need conntrack ip
	[ -z "$confirm" ] || need setsid
	open "$HERE"
	check
	report >"$W/report"
	if [ -n "$dry" ]; then
		if [ -s "$W/report" ]; then say "would change:" && sed 's/^/  /' "$W/report"; else say "nothing to do: the folder is already loaded"; fi
		return 0
	fi
	# A full disk is found here, before anything is changed.
	mkdir -p "$STATE" 2>/dev/null && rm -rf "$STATE/probe" && cp -R "$HERE" "$STATE/probe" 2>/dev/null && cp -R "$HERE" "$W/folder" && rm -rf "$STATE/probe" || {
		rm -rf "$STATE/probe"
		die "cannot write to $STATE and $RUN"
	}
	snapshot "$W/new" "$W/old" || die "cannot save the current rules and sets to $W: $failure"
	# Loading and rolling back write files too: test that there is space for them.
	for i in 1 2 3 4; do
		mkdir "$W/room$i" 2>/dev/null && cp -R "$W/new" "$W/old" "$W/save"? "$W/room$i" 2>/dev/null || die "cannot write to $RUN: the disk is full"
	done
	rm -rf "$W"/room?
	trap '' INT TERM HUP # from here on the run must complete
	begin || die "cannot write to $RUN"
	recover "$W/old" || roll_back "$W/old"
	if [ ! -s "$W/report" ]; then
		settle "$W/new"
		say "nothing to do: the folder is already loaded"
		keep_copy "$HERE" || warn "cannot write the boot copy to $STATE"
		[ -z "$cut" ] || cut_connections "$W/new"
		return 0
	fi
	[ -z "$confirm" ] || start_timer
	load "$W/new" && in_force || roll_back "$W/old"
	rm -f "$RUN/pending/half"
	say "loaded $(cat "$W/new"/rules? | grep -c '^-[AI] ') rules and $(grep -c . "$W/new/managed") sets"
	[ -z "$cut" ] || cut_connections "$W/new"
	if [ -n "$confirm" ]; then
		say "rolling back in $confirm seconds unless you confirm: $HERE/apply.sh --keep"
		return 0
	fi
	keep_copy "$HERE" || warn "cannot write the boot copy to $STATE"
	settle "$W/new"
}

# start_timer starts the process that rolls back unless the change is confirmed. It starts before
# anything is loaded, in case this run is killed; it is detached from the terminal and holds no
# lock. If the rollback fails, it retries.
start_timer() {
	failure="cannot prepare the rollback in $RUN and $STATE"
	part=$RUN/pending.part
	rm -rf "$part" && mkdir "$part" && true >"$part/half" && cp -R "$W/old" "$W/new" "$W/folder" "$W/folder/apply.sh" "$part" &&
		printf '%s\n' "$backend" >"$part/backend" && printf '%s\n' "$$" >"$part/token" &&
		sha256sum <"$HERE/manifest.json" >"$STATE/unconfirmed" && mv "$part" "$RUN/pending" || roll_back "$W/old"
	setsid sh -c 'n=0; while [ -e "$2" ] && [ $n -lt "$1" ]; do sleep 1; n=$((n + 1)); done
		while [ -e "$2" ] && ! sh "$2" --expire "$3"; do sleep 5; done' sh "$confirm" "$RUN/pending/apply.sh" "$$" </dev/null >>"$RUN/confirm.log" 2>&1 9>&- &
}

keep() {
	[ -e "$RUN/pending" ] || die "no change waits for confirmation"
	[ ! -e "$RUN/pending/half" ] || die "the change that waits for confirmation was loaded only in part: run apply.sh --rollback, then load it again"
	backend=$(cat "$RUN/pending/backend") && cp "$RUN/pending/backend" "$W/backend" && keep_copy "$RUN/pending/folder" ||
		die "cannot write to $STATE; the change is not kept yet"
	know "$RUN/pending/new" && settle "$RUN/pending/new"
	drop_pending
	say "kept"
}

# roll_back_pending rolls back the change that waits for confirmation.
roll_back_pending() {
	[ -e "$RUN/pending" ] || die "no change waits for confirmation"
	backend=$(cat "$RUN/pending/backend")
	trap '' INT TERM HUP
	rm -f "$RUN"/pending/old/jump? # the engine may use the jump by now
	know "$RUN/pending/old" && begin && load "$RUN/pending/old" || {
		warn "the rollback failed: $failure"
		exit 3
	}
	finish "$RUN/pending/old"
	drop_pending
	rm -f "$STATE/unconfirmed"
	say "rolled back to the previous rules and sets"
}

boot() {
	trap '' INT TERM HUP
	folder=$HERE unconfirmed=''
	if [ -f "$STATE/unconfirmed" ] && [ "$(sha256sum <"$HERE/manifest.json" 2>/dev/null)" = "$(cat "$STATE/unconfirmed")" ]; then
		unconfirmed=1
		if good >/dev/null; then
			warn "$HERE was never confirmed: loading the folder that was loaded before"
			folder=$(good)
		else
			warn "$HERE was never confirmed, but nothing was loaded before: loading it"
		fi
	fi
	for try in "$folder" "$(good)"; do
		[ -n "$try" ] || continue
		if (
			open "$try"
			for f in $(families "$W/new"); do
				foreign "$f" "$W/new" | sed "s/^/apply.sh: deleting foreign rule: /" >&2
			done
			snapshot "$W/new" "$W/old" && begin && recover "$W/old" && load "$W/new" || die "${failure:-cannot write to $RUN}"
			settle "$W/new"
		); then
			say "loaded $try"
			# A change that waits for confirmation is no longer loaded, unless it is this folder.
			[ "$(sha256sum <"$try/manifest.json")" = "$(sha256sum 2>/dev/null <"$RUN/pending/folder/manifest.json")" ] || drop_pending
			rm -f "$RUN/pending/half"
			[ "$try" != "$HERE" ] || [ -n "$unconfirmed" ] || keep_copy "$HERE" || warn "cannot write the boot copy to $STATE"
			return 0
		fi
		rm -rf "$W/new" "$W/old"
		warn "CANNOT LOAD $try"
	done
	choose_backend
	if [ "${DOCKERFW_BOOT_FALLBACK:-closed}" = open ]; then
		for f in 4 6; do
			if save $f && grep -q -e '--comment "dockerfw ' "$W/save$f"; then
				warn "NOTHING WAS LOADED for $(family_name $f): the existing rules remain"
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
			[ ! -f "$W/fallback$f" ] || close_fallback $f | restore $f || warn "$failure"
			continue
		fi
		warn "$failure"
		warn "CANNOT LOAD EVEN RULES THAT CLOSE ALL CONTAINERS for $(family_name $f): published ports are open to everyone"
		closed=''
	done
	[ -z "$closed" ] || warn "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE until apply.sh succeeds"
	exit 1
}

# close_all FAMILY prints rules that drop everything from external interfaces to containers. The
# interfaces and the ports of docker-proxy are taken from the compiled files; if they cannot
# be read, only packets from containers pass.
close_all() {
	comment='-m comment --comment "dockerfw closed"'
	external=$(for i in iptables ip6tables; do
		# A truncated file may not contain all of them.
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
	# Of the existing rules only our jumps are removed: they become the first rules.
	awk '/^-A (DOCKER-USER|INPUT) -j DOCKERFW(-INPUT)?$/ { sub(/^-A/, "-D"); print }' "$W/save$1"
	printf -- '-I DOCKER-USER 1 -j DOCKERFW\n-I INPUT 1 -j DOCKERFW-INPUT\n'
	grep -q '^-A FORWARD -j DOCKER-USER$' "$W/save$1" || printf -- '-I FORWARD 1 -j DOCKER-USER\n'
	printf 'COMMIT\n'
}

# close_fallback FAMILY prints the rules of close_all for the security table: see fallback_rules.
close_fallback() {
	printf '*security\n'
	grep '^:DOCKERFW' "$W/fallback$1" | sed 's/ .*/ - [0:0]/' # flushed
	printf ':DOCKERFW - [0:0]\n'
	grep '^-A DOCKERFW ' "$W/closed"
	sed -n 's/^-A FORWARD -j DOCKERFW$/-D FORWARD -j DOCKERFW/p' "$W/fallback$1"
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
			remove_rules $f || {
				warn "$failure"
				warn "$(family_name $f): the rules were not removed"
				exit 1
			}
		done
	done
	[ -n "$seen" ] || die "cannot read any rules: $failure"
	settle "$W/new"
	rm -rf "$STATE"/folder-* "$STATE/good" "$STATE/unconfirmed" "$STATE/backend" "$RUN/theirs"
	say "removed: no dockerfw rules remain"
}

start
case $mode in
apply) apply ;;
boot) boot ;;
keep) keep ;;
rollback) roll_back_pending ;;
remove) remove ;;
expire)
	[ "$(cat "$RUN/pending/token" 2>/dev/null)" = "$token" ] || exit 0 # confirmed in the meantime
	warn "not confirmed in time"
	roll_back_pending
	;;
esac
