#!/bin/sh
# saved.sh [nft|legacy] prints the filter tables and the sets of a host, with lines
# "# next" between, from the kind of iptables that apply.sh would use: the one that leads
# to Docker's chains, else the one named, else the one that iptables stands for.
kind=${1:+-$1} engines='' jumps=''
for k in nft legacy; do
	# Asking the legacy one makes its tables, where they are not there yet.
	[ $k = nft ] || grep -q '^filter$' /proc/net/ip_tables_names 2>/dev/null || continue
	forward=$(iptables-$k-save -t filter 2>/dev/null | grep '^-A FORWARD .*-j DOCKER')
	# A jump to DOCKER-USER alone can be that of dockerfw.
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
