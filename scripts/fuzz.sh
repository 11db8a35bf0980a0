#!/bin/sh
# Runs every fuzz test of the module, one after another, each for $1.
set -eu
for file in $(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v node_modules | sort); do
	for name in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== $(dirname "$file") $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "$(dirname "$file")"
	done
done
