#!/bin/sh
# Takes all rules, chains and sets of dockerfw's from this host. Made by dockerfw; do not edit.
exec sh "$(dirname -- "$0")/apply.sh" --remove "$@"
