#!/bin/sh
# Loads the compiled folder that it stands in. Made by dockerfw; do not edit.
#
# Packets of a family see one step: from the old rules with the old sets to the new
# rules with the new sets. New sets are made beside the ones in use (NAME-alt), the
# rules change to those in one transaction, then the sets get their own names back and
# the rules change once more, to the same sets by name. What fails is undone by the same
# steps, and what a killed run left is brought in order by the next.

# Names of sets and chains hold no blanks, so that lists of them are words; A && B || C
# is meant as it runs; programs in single quotes are awk's.
# shellcheck disable=SC2015,SC2046,SC2086,SC2016

usage() {
	cat <<'END'
apply.sh [OPTION]...   as root, on the Docker host

  --dry-run         check, and say what would change; change nothing
  --confirm SECONDS go back to the old rules unless "apply.sh --keep" comes in time
  --keep            keep what waits for confirmation
  --rollback        go back at once to what was before what waits for confirmation
  --force           delete rules of others in a chain that is replaced, and replace
                    the content of sets of others that have a name of the policy's
  --cut             end connections that are open and that the new rules refuse
  --backend KIND    nft or legacy: the iptables to use where Docker has not run yet;
                    once it has, the one that its rules are in is used
  --boot            for dockerfw.service: load the folder, or else what was loaded
                    last, or else rules that keep the outside from all containers
  --remove          take everything of dockerfw's away (what remove.sh does)

Exit status: 0 it is loaded; 1 it is not, and the rules are what they were; 2 it was
called wrongly; 3 it is not, and the rules could not be put back. With --boot: 0 the
folder or the one that was loaded last is; 1 neither is, and containers are closed.

DOCKERFW_RUN (/run/dockerfw) and DOCKERFW_STATE (/var/lib/dockerfw) name the folders for
the lock and for the copy that boot falls back on. DOCKERFW_BOOT_FALLBACK=open lets
--boot leave containers open when nothing can be loaded.
END
}

RUN=${DOCKERFW_RUN:-/run/dockerfw}
STATE=${DOCKERFW_STATE:-/var/lib/dockerfw}
# The folder itself, where /etc/dockerfw is a link to it: it is copied.
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
LC_ALL=C
export LC_ALL
umask 077

say() { printf '%s\n' "$*"; }
warn() { printf 'apply.sh: %s\n' "$*" >&2; }

# die ends a run in which no rule and no set was changed yet; at boot, an attempt to load.
die() {
	warn "$*"
	[ $mode = boot ] || warn "nothing was changed"
	exit 1
}

called_wrongly() {
	warn "$*; see apply.sh --help"
	exit 2
}

mode=apply dry='' confirm='' force='' cut='' backend='' token=''
while [ $# -gt 0 ]; do
	case $1 in
	--dry-run) dry=1 ;;
	--force) force=1 ;;
	--cut) cut=1 ;;
	--boot | --keep | --rollback | --remove)
		[ $mode = apply ] || called_wrongly "--$mode and $1 do not go together"
		mode=${1#--}
		;;
	--confirm | --backend | --expire)
		[ $# -ge 2 ] || called_wrongly "$1 needs a value"
		case $1 in
		--confirm) confirm=$2 ;;
		--backend) backend=$2 ;;
		--expire) mode=expire token=$2 ;; # of the run that waits; called by that run
		esac
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*) called_wrongly "unknown option $1" ;;
	esac
	shift
done
case $confirm in
*[!0-9]* | 0* | ??????*) called_wrongly "--confirm takes a number of seconds, 1 to 99999" ;;
esac
case $backend in
'' | nft | legacy) ;;
*) called_wrongly "--backend is nft or legacy" ;;
esac
[ $mode = apply ] || [ -z "$dry$confirm$force$cut" ] || called_wrongly "--$mode takes no --dry-run, --confirm, --force or --cut"
[ -z "$dry" ] || [ -z "$confirm$cut" ] || called_wrongly "--dry-run changes nothing: leave --confirm and --cut out"
