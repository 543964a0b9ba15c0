
# ---- Rules. The awk programs read stages: map, lines "NAME TO" of sets; s, the output of
# iptables-save; r, rules of a normalized folder.

# Ours are the chains DOCKERFW*, the rules with a dockerfw comment, and the jumps to our
# chains.
read_stages='
stage == "map" { to[$1] = $2; next }
/^:/ { name = substr($1, 2); if (stage == "s") exists[name] = 1; else if (!(name in declared)) { declared[name] = 1; order[++chains] = name } next }
/^-[AI] / {
	rest = substr($0, length($2) + 5)
	if (stage == "s" && $2 == "FORWARD" && !placed) {
		# After a rule that accepts packets, the jump to our rules comes too late.
		if (rest != "-j " target) { if (rest ~ /-j (ACCEPT|DOCKER[-A-Z0-9]*)$/) late = 1 }
		else { led = 1; placed = !late }
	}
	if (stage == "s") { kchain[++kernel] = $2; krule[kernel] = rest; kjump[kernel] = jump_to_ours(rest); kown[kernel] = kjump[kernel] || index(rest, "--comment \"dockerfw ") > 0 }
	else { line[++lines] = $0; lchain[lines] = $2; lrule[lines] = rest }
}
function jump_to_ours(rule) { return rule ~ /^-j DOCKERFW(-[A-Z]+)?$/ }
function own_chain(name) { return name ~ /^DOCKERFW(-[A-Z]+)?$/ }
# renamed replaces the names of sets in a rule.
function renamed(text,   out, at, word) {
	out = ""
	while ((at = index(text, "--match-set ")) > 0) {
		out = out substr(text, 1, at + 11)
		text = substr(text, at + 12)
		word = substr(text, 1, index(text, " ") - 1)
		out = out ((word in to) ? to[word] : word)
		text = substr(text, length(word) + 1)
	}
	return out text
}
'

# transaction FAMILY FOLDER MAP prints the input of iptables-restore that changes the rules in
# $W/saveN to those of the folder. Sets in MAP are used under their other name. A family
# without rules in the folder has no target: all of our rules are removed there.
transaction() {
	awk "$read_stages"'
	END {
		print "*filter"
		for (i = 1; i <= chains; i++) print ":" order[i] " - [0:0]"
		if (target != "" && !(target in exists) && !(target in declared)) print ":" target " - [0:0]"
		for (name in exists) if (own_chain(name) && !(name in declared)) { print ":" name " - [0:0]"; gone[name] = 1 }
		for (i = 1; i <= kernel; i++) {
			if (kown[i] && !(kchain[i] in declared) && !own_chain(kchain[i])) print "-D " kchain[i] " " krule[i]
		}
		for (i = 1; i <= lines; i++) print renamed(line[i])
		if ("DOCKERFW" in declared) print "-I " target " 1 -j DOCKERFW"
		if ("DOCKERFW-INPUT" in declared) print "-I INPUT 1 -j DOCKERFW-INPUT"
		# An engine before 17.06 makes the jumps to DOCKER itself.
		if (target == "DOCKER") target = ""
		if (target != "" && led && (jump == "no" || !placed)) print "-D FORWARD -j " target
		if (target != "" && jump != "no" && !placed) print "-I FORWARD 1 -j " target
		for (name in gone) print "-X " name
		print "COMMIT"
	}' target="$(cat "$2/target$1")" jump="$(cat "$2/jump$1" 2>/dev/null)" \
		stage=map "$3" stage=s "$W/save$1" stage=r "$2/rules$1"
}

# put FAMILY FOLDER MAP loads the rules as one transaction, then the fallback rules.
put() {
	save "$1" || return 1
	transaction "$1" "$2" "$3" >"$W/transaction$1" || {
		failure="the $(family_name "$1") rules cannot be written to $W"
		return 1
	}
	restore "$1" <"$W/transaction$1" || return 1
	touched=1
	[ -f "$W/fallback$1" ] || return 0
	fallback_rules "$1" "$2" "$3" "$W/fallback$1" >"$W/transaction$1" && restore "$1" <"$W/transaction$1"
}

# fallback_rules FAMILY FOLDER MAP SAVE prints the input of iptables-restore for the fallback
# rules: those rules of the folder that refuse packets, in the security table, which SAVE
# is the current content of.
#
# Packets pass that table after filter. It has nothing left to drop as long as FORWARD jumps
# to our rules before it accepts anything. But an engine up to 26 removes its jump to
# DOCKER-USER from FORWARD for some milliseconds at each start and for each new network;
# 20.10 makes no such jump for IPv6, and inserts its own rules before ours; other tools flush
# filter. No engine changes the security table. The fallback rules do not log, count or
# answer again: a limit counts as not reached, a reject is a drop.
fallback_rules() {
	awk "$read_stages"'
	END {
		print "*security"
		for (i = 1; i <= lines; i++) {
			text = " " renamed(lrule[i])
			if (target == "DOCKER" || lchain[i] ~ /^DOCKERFW-(INPUT|PROXY)$/ || text !~ /--comment "dockerfw / || text ~ / -j (LOG|NFLOG) /) continue
			limited = gsub(/ -m (limit|hashlimit|connlimit)( --(limit|hashlimit|connlimit)[a-z-]*( [^ -][^ ]*)?)+/, "", text)
			if (limited && text ~ / -j (DROP|REJECT)/) continue
			sub(/ -j REJECT.*/, " -j DROP", text)
			sub(/ -j ACCEPT$/, " -j RETURN", text) # to foreign rules in that table
			chain = (lchain[i] == target) ? "DOCKERFW" : lchain[i]
			if (!(chain in fallback)) print ":" chain " - [0:0]"
			fallback[chain] = 1
			put[++puts] = substr(line[i], 1, 3) chain text
		}
		for (name in exists) if (own_chain(name) && !(name in fallback)) { print ":" name " - [0:0]"; gone[name] = 1 }
		for (i = 1; i <= kernel; i++) if (kchain[i] == "FORWARD" && kjump[i]) print "-D FORWARD " krule[i]
		for (i = 1; i <= puts; i++) print put[i]
		if ("DOCKERFW" in fallback) print "-I FORWARD 1 -j DOCKERFW"
		for (name in gone) print "-X " name
		print "COMMIT"
	}' target="$(cat "$2/target$1")" stage=map "$3" stage=s "$4" stage=r "$2/rules$1"
}

# fallback_ours SAVE lists our rules of the security table.
fallback_ours() {
	awk '/^-A DOCKERFW/ || /^-A FORWARD -j DOCKERFW$/ { printf "%s %06d %s\n", $2, ++n[$2], $0 }' "$1" | sort
}

# as_saved prints what iptables-save prints after a transaction, read from standard input, is
# loaded into empty tables.
as_saved() {
	awk '
	/^-A / { rules[$2] = rules[$2] $0 "\n" }
	/^-I / { chain = $2; rest = substr($0, length(chain) + 5); sub(/^1 /, "", rest); rules[chain] = "-A " chain " " rest "\n" rules[chain] }
	END { for (chain in rules) printf "%s", rules[chain] }'
}

# ours FAMILY FOLDER SAVE lists our rules in the output of iptables-save, as lines of chain,
# number and rule: all rules in chains of the folder except the RETURN that engines append to
# DOCKER-USER, our rules in foreign chains, and the jumps to our rules.
ours() {
	awk "$read_stages"'
	stage == "s" && /^-A / {
		at[$2]++
		if (kjump[kernel] && !own_chain($2)) print $2, 0, (at[$2] == 1 ? "first " : "after others ") rest
		else if ($2 in declared) { if (rest != "-j RETURN") printf "%s %06d %s\n", $2, ++n[$2], rest }
		else if (kown[kernel]) printf "%s %06d %s\n", $2, ++n[$2], rest
		else if ($2 == "FORWARD" && rest == "-j " target && target != "DOCKER" && placed && !said++) print $2, 0, rest
	}
	stage == "s" && /^:/ && own_chain(name) { print name, 0, "chain" }' \
		target="$(cat "$2/target$1")" stage=r "$2/rules$1" stage=s "$3" | sort
}

# differs FAMILY FOLDER prints what would change the rules in $W/saveN into those of the folder, which
# are in $W/wantN as iptables-save prints them on this host.
differs() {
	ours "$1" "$2" "$W/save$1" >"$W/ours"
	ours "$1" "$2" "$W/want$1" >"$W/ours.want"
	comm -3 "$W/ours" "$W/ours.want" | awk '{ print $1 }' | sort -u | while read -r chain; do
		if [ "$chain" = FORWARD ]; then
			printf 'FORWARD: add the jump to %s before rules that accept packets\n' "$(cat "$2/target$1")"
		elif ! grep -q "^$chain " "$W/ours"; then
			case $chain in
			INPUT) printf 'INPUT: add the jump to DOCKERFW-INPUT\n' ;;
			*) printf '%s: add the rules\n' "$chain" ;;
			esac
		elif ! grep -q "^$chain " "$W/ours.want"; then
			printf '%s: remove the rules of an earlier policy\n' "$chain"
		else
			printf '%s: replace the rules\n' "$chain"
		fi
	done
	[ -f "$W/fallback$1" ] || return 0
	fallback_ours "$W/fallback$1" >"$W/ours"
	fallback_ours "$W/fallback.want$1" >"$W/ours.want"
	[ -z "$(comm -3 "$W/ours" "$W/ours.want")" ] ||
		if [ -s "$W/ours" ]; then printf 'security table: replace the rules\n'; else printf 'security table: add the rules\n'; fi
}

# foreign FAMILY FOLDER prints foreign rules in chains that are replaced as a whole.
foreign() {
	awk "$read_stages"'
	stage == "s" && /^-A / && ($2 in declared) && !kown[kernel] && rest != "-j RETURN"' \
		stage=r "$2/rules$1" stage=s "$W/save$1"
}
