#!/bin/sh
# Sees to it that bench-scan finds sqlfluff, one of its peers.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's package. Otherwise: says what to type, exit 1.
set -eu

command -v sqlfluff >/dev/null 2>&1 && exit 0

. "$(dirname "$0")/debian.sh"
if ! is_debian; then
	echo 'sqlfluff is missing (bench-scan measures it): install it so that "sqlfluff" is on PATH' >&2
	exit 1
fi
install sqlfluff 'bench-scan measures it' sqlfluff
