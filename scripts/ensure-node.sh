#!/bin/sh
# Sees to it that the test with clients of npm (go test ./internal/npmclients) finds
# Node.js and npm. Node.js 18, which is Debian 12's, will do.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's packages. Otherwise: says what to type, exit 1.
set -eu

if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
	exit 0
fi

# A Node.js that is there, of whatever origin, brings its own npm or gets Debian's.
packages=npm
command -v node >/dev/null 2>&1 || packages='nodejs npm'

distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null || true)
if [ "$distribution" != debian ]; then
	echo 'Node.js or npm is missing (clients of npm test the event store): install them so that "node" and "npm" are on PATH' >&2
	exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
	as_root=env
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n env'
else
	echo "Node.js or npm is missing (clients of npm test the event store): type  sudo apt-get install --no-install-recommends $packages" >&2
	exit 1
fi

echo "Node.js or npm is missing (clients of npm test the event store): installing from Debian: $packages" >&2
# shellcheck disable=SC2086 # as_root and packages are several words
if ! { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive \
	apt-get install -qq -y --no-install-recommends $packages; } >/dev/null; then
	echo "Node.js or npm could not be installed: type  apt-get update && apt-get install --no-install-recommends $packages  as root and see why" >&2
	exit 1
fi
