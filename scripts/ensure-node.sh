#!/bin/sh
# Sees to it that the test with clients of npm (go test ./internal/npmclients) finds
# Node.js and npm. Node.js 18, which is Debian 12's, will do.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's packages. Otherwise: says what to type, exit 1.
set -eu

if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
	exit 0
fi

. "$(dirname "$0")/debian.sh"
if ! is_debian; then
	echo 'Node.js or npm is missing (clients of npm test the event store): install them so that "node" and "npm" are on PATH' >&2
	exit 1
fi
# A Node.js that is there, of whatever origin, brings its own npm or gets Debian's.
set -- npm
command -v node >/dev/null 2>&1 || set -- nodejs npm
install 'Node.js or npm' 'clients of npm test the event store' "$@"
