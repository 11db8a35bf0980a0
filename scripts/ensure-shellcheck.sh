#!/bin/sh
# Sees to it that the test of an external scanner finds ShellCheck.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's package. Otherwise: says what to type, exit 1.
set -eu

command -v shellcheck >/dev/null 2>&1 && exit 0

. "$(dirname "$0")/debian.sh"
if ! is_debian; then
	echo 'ShellCheck is missing (an external scanner is tested with it): install it so that "shellcheck" is on PATH' >&2
	exit 1
fi
install ShellCheck 'an external scanner is tested with it' shellcheck
