#!/bin/sh
# saved.sh [nft|legacy] prints the filter tables and the sets of a host, separated by lines
# "# next", from the backend that apply.sh would use: the one with Docker's chains, else the
# given one, else the default one.
kind=${1:+-$1} engines='' jumps=''
for k in nft legacy; do
	# iptables-legacy-save would create tables that do not exist.
	[ $k = nft ] || grep -q '^filter$' /proc/net/ip_tables_names 2>/dev/null || continue
	forward=$(iptables-$k-save -t filter 2>/dev/null | grep '^-A FORWARD .*-j DOCKER')
	# dockerfw makes a jump to DOCKER-USER itself: alone, it does not show Docker.
	if printf '%s' "$forward" | grep -q -v -e '-j DOCKER-USER$' -e '-j DOCKERFW'; then
		engines="$engines $k"
	elif [ -n "$forward" ]; then
		jumps="$jumps $k"
	fi
done
case ${engines:-$jumps} in
' nft' | ' legacy')
	kind=${engines:-$jumps}
	kind=-${kind# }
	;;
esac
"iptables$kind-save" -t filter && echo '# next' && "ip6tables$kind-save" -t filter && echo '# next' && ipset save
