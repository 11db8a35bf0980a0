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

. "$(dirname "$0")/debian.sh"
if ! is_debian; then
	echo 'Chromium is missing (the browser test drives it): install it so that "chromium" is on PATH' >&2
	exit 1
fi
install Chromium 'the browser test drives it' chromium
