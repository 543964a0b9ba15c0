
# ---- --cut: ends open connections that the loaded rules would refuse as new ones.

# cut_connections FOLDER, normalized and loaded. A connection is judged by its first packet, on
# the interfaces of the routes to its two ends. A condition that cannot be evaluated, such as
# a limit, keeps the connection.
cut_connections() {
	cut=0
	for f in $(families "$1"); do
		family=ipv$f
		conntrack -L -f $family >"$W/connections" 2>"$W/err" || {
			warn "conntrack -L: $(cat "$W/err")"
			return 1
		}
		# Connections that a helper expected, such as FTP data, were accepted as RELATED.
		conntrack -L -f $family --status EXPECTED >"$W/expected" 2>/dev/null
		awk '{ for (i = 3; i <= NF; i++) if (sub(/^(src|dst)=/, "", $i)) print "route get", $i }' "$W/connections" | sort -u >"$W/ends"
		ip -$f -o -force -batch "$W/ends" >"$W/routes" 2>/dev/null
		sets_of_rules "$f" "$1" >"$W/members" || {
			warn "$failure"
			return 1
		}
		refused "$f" "$1" >"$W/refused" || return 1
		while read -r connection; do
			# Deleting fails for a connection that has just ended.
			conntrack -D -f $family $connection >/dev/null 2>&1 </dev/null && cut=$((cut + 1))
		done <"$W/refused"
	done
	say "ended $cut connections that the rules refuse"
}

# sets_of_rules FAMILY FOLDER prints the sets that rules use, and the members of lists.
sets_of_rules() {
	{
		grep -o -e '--match-set [^ ]*' "$2/rules$1" | sed 's/^[^ ]* //'
		awk '$1 == "create" && $3 == "list:set" { list[$2] = 1 } $1 == "add" && ($2 in list) { print $3 }' "$2/sets" | of_family "$1"
	} | sort -u >"$W/names"
	while read -r s; do
		ipset save "$s" 2>"$W/err" || {
			failure="ipset save $s: $(cat "$W/err")"
			return 1
		}
	done <"$W/names"
}

# refused FAMILY FOLDER prints the refused connections, as arguments of conntrack -D.
refused() {
	awk '
	function octet(n,   i, text) { for (i = 128; i >= 1; i /= 2) { text = text (n >= i ? 1 : 0); if (n >= i) n -= i } return text }
	# bits returns an address as a string of 0 and 1, so that its networks are prefixes.
	function bits(a,   part, n, i, out, gap, k, g) {
		if (a in known) return known[a]
		if (a !~ /:/) {
			split(a, part, ".")
			return known[a] = octet(part[1]) octet(part[2]) octet(part[3]) octet(part[4])
		}
		if (a ~ /[.]/) return known[a] = ""
		n = split(a, part, ":")
		gap = 8 - n + (a ~ /^::/) + (a ~ /::$/) + 1
		for (i = 1; i <= n; i++) {
			if (part[i] == "") {
				if (i > 1 && i < n || a ~ /^::$/ && i == 1) while (gap-- > 0) out = out "0000000000000000"
				else if (a ~ /^::/ && i == 1 || a ~ /::$/ && i == n) continue
				continue
			}
			g = substr("0000" part[i], length(part[i]) + 1)
			for (k = 1; k <= 4; k++) out = out nibble[substr(g, k, 1)]
		}
		return known[a] = out
	}
	function in_network(a, network,   p) {
		split(network, p, "/")
		return p[2] == "" ? bits(a) == bits(p[1]) : substr(bits(a), 1, p[2]) == substr(bits(p[1]), 1, p[2])
	}
	# in_set: the longest network with the address in it decides, also if it is a nomatch.
	function in_set(a, s,   b, i, n, p, k) {
		if (s in lists) {
			n = split(lists[s], p, " ")
			for (i = 1; i <= n; i++) if (in_set(a, p[i])) return 1
			return 0
		}
		b = bits(a)
		for (i = length(b); i >= 0; i--) {
			if (!((s, i) in lengths)) continue
			k = substr(b, 1, i)
			if ((s, k) in held) return held[s, k]
		}
		return 0
	}
	function by_name(device, pattern) {
		return pattern ~ /[+]$/ ? index(device, substr(pattern, 1, length(pattern) - 1)) == 1 : device == pattern
	}
	function in_ports(port, range,   p) {
		if (split(range, p, ":") == 1) p[2] = p[1]
		return port + 0 >= p[1] + 0 && port + 0 <= p[2] + 0
	}
	# matches returns 1 if a rule matches the first packet of the connection, 0 if it does
	# not, and -1 if that cannot be evaluated.
	function matches(rule,   w, n, i, no, ok, o, v) {
		n = split(rule, w, " ")
		for (i = 1; i <= n; i++) {
			no = 0
			if (w[i] == "!") { no = 1; i++ }
			o = w[i]
			if (o == "-j") return 1
			v = w[++i]
			if (o == "-m" || o == "--comment") continue
			else if (o == "-s") ok = in_network(src, v)
			else if (o == "-d") ok = in_network(dst, v)
			else if (o == "-i") ok = by_name(in_device, v)
			else if (o == "-o") ok = by_name(out_device, v)
			else if (o == "-p") ok = v == protocol || v == number
			else if (o == "--sport") ok = in_ports(sport, v)
			else if (o == "--dport") ok = in_ports(dport, v)
			else if (o == "--ctstate") ok = ("," v ",") ~ states
			else if (o == "--ctdir") ok = v == "ORIGINAL"
			else if (o == "--ctorigdst") ok = in_network(orig_dst, v)
			else if (o == "--ctorigdstport") ok = in_ports(orig_dport, v)
			else if (o == "--match-set") ok = in_set(w[++i] == "src" ? src : dst, v)
			# A limit counts as not reached.
			else if (o ~ /^--(hashlimit|connlimit)-upto$/) ok = 1
			else if (o ~ /^--(hashlimit|connlimit)-above$/) ok = 0
			else if (o ~ /^--(hashlimit|connlimit)-/) { if (o == "--connlimit-saddr") i--; continue }
			else if (o ~ /^--limit/) continue
			else return -1
			if (no ? ok : !ok) return 0
		}
		return 1
	}
	function decide(chain,   i, h, t, d) {
		for (i = 1; i <= length_of[chain]; i++) {
			h = matches(rule[chain, i])
			if (h == 0) continue
			t = target_of[chain, i]
			if (t == "LOG" || t == "NFLOG") continue
			if (h < 0 || t == "ACCEPT") return "keep"
			if (t == "RETURN") return ""
			if (t == "DROP" || t == "REJECT") return "cut"
			if ((d = decide(t)) != "") return d
		}
		return ""
	}
	BEGIN {
		for (i = 0; i < 16; i++) nibble[substr("0123456789abcdef", i + 1, 1)] = substr(octet(i), 5)
		split("1 icmp 6 tcp 17 udp 33 dccp 58 ipv6-icmp 132 sctp 136 udplite", p, " ")
		for (i = 1; i in p; i += 2) name_of[p[i]] = p[i + 1]
	}
	stage == "rules" && /^-[AI] / {
		verb = $1; chain = $2
		gsub(/"[^"]*"/, "text")
		text = substr($0, length(chain) + 5)
		t = text; sub(/.*-j /, "", t); sub(/ .*/, "", t)
		n = ++length_of[chain]
		if (verb == "-I") {
			for (i = n; i > 1; i--) { rule[chain, i] = rule[chain, i - 1]; target_of[chain, i] = target_of[chain, i - 1] }
			n = 1
		}
		rule[chain, n] = text; target_of[chain, n] = t
	}
	stage == "rules" && $1 == ":DOCKERFW" { entry = "DOCKERFW" }
	stage == "sets" && $1 == "create" && $3 == "list:set" { lists[$2] = "" }
	stage == "sets" && $1 == "add" {
		if ($2 in lists) { lists[$2] = lists[$2] $3 " "; next }
		n = split($3, p, "/")
		b = bits(p[1])
		if (n == 2) b = substr(b, 1, p[2])
		held[$2, b] = ($4 == "nomatch") ? 0 : 1
		lengths[$2, length(b)] = 1
	}
	stage == "routes" {
		i = 1
		kind = ""
		if ($1 ~ /^(local|broadcast|multicast|unreachable|blackhole|prohibit)$/) { kind = $1; i = 2 }
		a = $i
		for (; i < NF; i++) if ($i == "dev") { device[a] = $(i + 1); break }
		local[a] = (kind == "local")
	}
	stage == "expected" || stage == "connections" {
		split("", e) # of the line before
		for (i = 1; i <= NF; i++) {
			k = index($i, "=")
			if (!k) continue
			key = substr($i, 1, k - 1)
			if (key ~ /^(src|dst|sport|dport)$/) e[key, ++count[NR, key]] = substr($i, k + 1)
		}
		number = $2
		protocol = (number in name_of) ? name_of[number] : number
		id = number " " e["src", 1] " " e["dst", 1] " " e["sport", 1] " " e["dport", 1]
		if (stage == "expected") { expected[id] = 1; next }
		# conntrack -D cannot select one ping, and pings end by themselves.
		if ((id in expected) || number == 1 || number == 58) next
		if ($4 == "CLOSE" || $4 == "TIME_WAIT") next # over already
		src = e["src", 1]; dst = e["src", 2]; sport = e["sport", 1]; dport = e["sport", 2]
		orig_dst = e["dst", 1]; orig_dport = e["dport", 1]
		if (!(src in device) || !(dst in device) || local[src] || bits(src) == "" || bits(dst) == "") next
		states = "NEW"
		if (dst != orig_dst || dport != orig_dport) states = states "|DNAT"
		if (e["dst", 2] != src || e["dport", 2] != sport) states = states "|SNAT"
		states = ",(" states "),"
		in_device = device[src]
		if (local[dst]) { out_device = ""; verdict = decide("DOCKERFW-INPUT") }
		else { out_device = device[dst]; verdict = decide(entry) }
		if (verdict != "cut") next
		out = "-p " protocol " --orig-src " src " --orig-dst " orig_dst
		if (sport != "") out = out " --sport " sport " --dport " orig_dport
		print out
	}' entry="$(cat "$2/target$1")" stage=rules "$2/rules$1" stage=sets "$W/members" stage=routes "$W/routes" \
		stage=expected "$W/expected" stage=connections "$W/connections"
}
