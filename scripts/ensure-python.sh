#!/bin/sh
# Sees to it that the test of examples/scanner-python finds python3 (3.9 or newer).
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's package. Otherwise: says what to type, exit 1.
set -eu

if command -v python3 >/dev/null 2>&1 && python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
	exit 0
fi

. "$(dirname "$0")/debian.sh"
if ! is_debian; then
	echo 'Python 3.9 or newer is missing (the example scanner in Python is tested): install it so that "python3" is on PATH' >&2
	exit 1
fi
install 'Python 3' 'the example scanner in Python is tested' python3
