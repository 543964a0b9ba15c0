
# ---- Rules. The awk programs read stages: map, lines "NAME TO" of sets; s, what
# iptables-save prints; r, rules of a normalized folder.

# Ours are the chains DOCKERFW*, the rules that say so in their comment, and the jumps
# to our chains.
read_stages='
stage == "map" { to[$1] = $2; next }
/^:/ { name = substr($1, 2); if (stage == "s") exists[name] = 1; else if (!(name in declared)) { declared[name] = 1; order[++chains] = name } next }
/^-[AI] / {
	rest = substr($0, length($2) + 5)
	if (stage == "s" && $2 == "FORWARD" && !placed) {
		# Behind what accepts packets, the jump to our rules comes too late.
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

# transaction FAMILY FOLDER MAP: what iptables-restore is to load, where $W/saveN is in
# force. Sets named in MAP are meant by their other name. A family of which the folder has
# no rules has no target: of ours, nothing is to be left there.
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
		# An engine before 17.06 leads to DOCKER by rules of its own.
		if (target == "DOCKER") target = ""
		if (target != "" && led && (jump == "no" || !placed)) print "-D FORWARD -j " target
		if (target != "" && jump != "no" && !placed) print "-I FORWARD 1 -j " target
		for (name in gone) print "-X " name
		print "COMMIT"
	}' target="$(cat "$2/target$1")" jump="$(cat "$2/jump$1" 2>/dev/null)" \
		stage=map "$3" stage=s "$W/save$1" stage=r "$2/rules$1"
}

# put FAMILY FOLDER MAP loads the rules, as one transaction.
put() {
	save "$1" || return 1
	transaction "$1" "$2" "$3" >"$W/transaction$1" || {
		failure="the $(family_name "$1") rules cannot be written to $W"
		return 1
	}
	restore "$1" <"$W/transaction$1" || return 1
	touched=1
	[ -f "$W/second$1" ] || return 0
	second_line "$1" "$2" "$3" "$W/second$1" >"$W/transaction$1" && restore "$1" <"$W/transaction$1"
}

# second_line FAMILY FOLDER MAP SAVE: what iptables-restore is to load into the security
# table, of which SAVE is in force: the refusals of the folder once more.
#
# Packets come to that table after filter. There is nothing left to refuse in it, as long as
# FORWARD leads to our rules before it lets anything through. But an engine up to 26 takes
# its jump to DOCKER-USER out of FORWARD for some milliseconds whenever it starts and whenever
# a network is made; 20.10 makes no such jump for IPv6, and puts what it adds to FORWARD ahead
# of ours; other tools flush filter. No engine touches this table. Nothing is logged,
# counted or answered a second time: a limit counts as not reached, a reject is a drop.
second_line() {
	awk "$read_stages"'
	END {
		print "*security"
		for (i = 1; i <= lines; i++) {
			text = " " renamed(lrule[i])
			if (target == "DOCKER" || lchain[i] ~ /^DOCKERFW-(INPUT|PROXY)$/ || text !~ /--comment "dockerfw / || text ~ / -j (LOG|NFLOG) /) continue
			limited = gsub(/ -m (limit|hashlimit|connlimit)( --(limit|hashlimit|connlimit)[a-z-]*( [^ -][^ ]*)?)+/, "", text)
			if (limited && text ~ / -j (DROP|REJECT)/) continue
			sub(/ -j REJECT.*/, " -j DROP", text)
			sub(/ -j ACCEPT$/, " -j RETURN", text) # to what others have in that table
			chain = (lchain[i] == target) ? "DOCKERFW" : lchain[i]
			if (!(chain in second)) print ":" chain " - [0:0]"
			second[chain] = 1
			put[++puts] = substr(line[i], 1, 3) chain text
		}
		for (name in exists) if (own_chain(name) && !(name in second)) { print ":" name " - [0:0]"; gone[name] = 1 }
		for (i = 1; i <= kernel; i++) if (kchain[i] == "FORWARD" && kjump[i]) print "-D FORWARD " krule[i]
		for (i = 1; i <= puts; i++) print put[i]
		if ("DOCKERFW" in second) print "-I FORWARD 1 -j DOCKERFW"
		for (name in gone) print "-X " name
		print "COMMIT"
	}' target="$(cat "$2/target$1")" stage=map "$3" stage=s "$4" stage=r "$2/rules$1"
}

# second_ours SAVE lists what of the security table is ours.
second_ours() {
	awk '/^-A DOCKERFW/ || /^-A FORWARD -j DOCKERFW$/ { printf "%s %06d %s\n", $2, ++n[$2], $0 }' "$1" | sort
}

# as_saved prints what iptables-save would, once standard input, of transaction, is loaded
# where nothing was.
as_saved() {
	awk '
	/^-A / { rules[$2] = rules[$2] $0 "\n" }
	/^-I / { chain = $2; rest = substr($0, length(chain) + 5); sub(/^1 /, "", rest); rules[chain] = "-A " chain " " rest "\n" rules[chain] }
	END { for (chain in rules) printf "%s", rules[chain] }'
}

# ours FAMILY FOLDER SAVE lists what of iptables-save's text is ours, in lines of chain,
# number and rule: all rules in chains of the folder, but for the RETURN that engines put
# at the end of DOCKER-USER; our rules in chains of others; what leads to our rules.
ours() {
	awk "$read_stages"'
	stage == "s" && /^-A / {
		at[$2]++
		if (kjump[kernel] && !own_chain($2)) print $2, 0, (at[$2] == 1 ? "first " : "behind others ") rest
		else if ($2 in declared) { if (rest != "-j RETURN") printf "%s %06d %s\n", $2, ++n[$2], rest }
		else if (kown[kernel]) printf "%s %06d %s\n", $2, ++n[$2], rest
		else if ($2 == "FORWARD" && rest == "-j " target && target != "DOCKER" && placed && !said++) print $2, 0, rest
	}
	stage == "s" && /^:/ && own_chain(name) { print name, 0, "chain" }' \
		target="$(cat "$2/target$1")" stage=r "$2/rules$1" stage=s "$3" | sort
}

# differs FAMILY FOLDER prints how $W/saveN differs from $W/wantN, the same rules as this
# host's iptables-save prints them.
differs() {
	ours "$1" "$2" "$W/save$1" >"$W/ours"
	ours "$1" "$2" "$W/want$1" >"$W/ours.want"
	comm -3 "$W/ours" "$W/ours.want" | awk '{ print $1 }' | sort -u | while read -r chain; do
		if [ "$chain" = FORWARD ]; then
			printf 'FORWARD does not lead to %s, or only behind rules that accept\n' "$(cat "$2/target$1")"
		elif ! grep -q "^$chain " "$W/ours"; then
			printf 'nothing of dockerfw is in %s\n' "$chain"
		elif ! grep -q "^$chain " "$W/ours.want"; then
			printf 'rules of an earlier version are in %s\n' "$chain"
		else
			printf 'the rules in %s differ\n' "$chain"
		fi
	done
	[ -f "$W/second$1" ] || return 0
	second_ours "$W/second$1" >"$W/ours"
	second_ours "$W/second.want$1" >"$W/ours.want"
	[ -z "$(comm -3 "$W/ours" "$W/ours.want")" ] ||
		if [ -s "$W/ours" ]; then printf 'the rules in the security table differ\n'; else printf 'nothing of dockerfw is in the security table\n'; fi
}

# foreign FAMILY FOLDER prints rules of others in chains that are replaced as a whole.
foreign() {
	awk "$read_stages"'
	stage == "s" && /^-A / && ($2 in declared) && !kown[kernel] && rest != "-j RETURN"' \
		stage=r "$2/rules$1" stage=s "$W/save$1"
}
