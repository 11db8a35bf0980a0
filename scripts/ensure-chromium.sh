#!/bin/sh
# Sees to it that the browser test (go test ./console) finds a Chromium.
# Found: silent, exit 0. Missing on Debian, as root or with sudo that asks no
# password: installs Debian's package. Otherwise: says what to type, exit 1.
set -eu

# The names the browser test looks for, in its order.
for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null 2>&1; then
		exit 0
	fi
done

distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null || true)
if [ "$distribution" != debian ]; then
	echo 'Chromium is missing (the browser test drives it): install it so that "chromium" is on PATH' >&2
	exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
	as_root=env
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n env'
else
	echo 'Chromium is missing (the browser test drives it): type  sudo apt-get install --no-install-recommends chromium' >&2
	exit 1
fi

echo 'Chromium is missing (the browser test drives it): installing the Debian package "chromium"' >&2
# shellcheck disable=SC2086 # as_root is a command with its arguments
if ! { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive \
	apt-get install -qq -y --no-install-recommends chromium; } >/dev/null; then
	echo 'Chromium could not be installed: type  apt-get update && apt-get install --no-install-recommends chromium  as root and see why' >&2
	exit 1
fi
