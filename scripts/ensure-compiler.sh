#!/bin/sh
# Sees to it that there is a C compiler: the race detector needs one.
# Found: silent, exit 0. Missing on Debian and its like, as root or with sudo that
# asks no password: installs the packages. Otherwise: says what to type, exit 1.
set -eu

if command -v "${CC:-gcc}" >/dev/null 2>&1; then
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo 'A C compiler is missing (the race detector needs one): install gcc' >&2
	exit 1
fi
. "$(dirname "$0")/debian.sh"
install 'A C compiler' 'the race detector needs one' gcc libc6-dev
