#!/bin/sh
# Sees to it that there is a C compiler: the race detector needs one.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's package. Otherwise: says what to type, exit 1.
set -eu

if command -v "${CC:-gcc}" >/dev/null 2>&1; then
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "A C compiler is missing (the race detector needs one): install gcc" >&2
	exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
	as_root=env
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n env'
else
	echo 'A C compiler is missing (the race detector needs one): type  sudo apt-get install gcc libc6-dev' >&2
	exit 1
fi
echo 'A C compiler is missing (the race detector needs one): installing the packages gcc and libc6-dev' >&2
# shellcheck disable=SC2086 # as_root is a command with its arguments
if ! { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive \
	apt-get install -qq -y --no-install-recommends gcc libc6-dev; } >/dev/null; then
	echo 'gcc could not be installed: type  apt-get update && apt-get install gcc libc6-dev  as root and see why' >&2
	exit 1
fi
