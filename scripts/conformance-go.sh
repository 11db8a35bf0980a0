#!/bin/sh
# Runs the test suite of the official Go client against "factgate node".
#
# The suite comes out of the module cache, at the version in go.mod, into a folder
# of its own; one file of it, which starts a server in a container, is replaced by
# eventstore/node/testdata/go-client/containers_test.go, which starts a node. The
# suite's dependencies are those of its own go.mod and go.sum. It runs twice:
# "plain", and "secure" with TLS and users.
#
# Exit code 0: exactly the tests of eventstore/node/testdata/go-client/expected.txt
# did not pass. A test that fails and is not listed is an error, and so is a
# listed one that passes.
#
# What the suite and the nodes print is then kept, in a folder named at the end.
set -eu

here=eventstore/node/testdata/go-client
module=github.com/EventStore/EventStore-Client-Go/v4
go=${GO:-go}

work=$(mktemp -d "${TMPDIR:-/tmp}/factgate-conformance-XXXXXX")
"$go" mod download "$module"
cp -R "$("$go" list -m -f '{{.Dir}}' "$module")" "$work/suite"
chmod -R u+w "$work/suite"
cp "$here"/*_test.go "$work/suite/esdb/"
sed -n '/^both /{ s//plain /p; s/^plain /secure /; }; /^plain /p; /^secure /p' "$here/expected.txt" >"$work/expected"

CGO_ENABLED=0 "$go" build -o "$work/factgate" ./cmd/factgate
(cd "$work/suite" && "$go" test -c -o "$work/suite.test" ./esdb)

# leaves drops the tests that have subtests from "SETTING TEST …" lines.
leaves() {
	awk '{ line[NR] = $0; name[NR] = $2 }
		{ parent = $2; while (sub("/[^/]*$", "", parent)) isparent[parent] = 1 }
		END { for (i = 1; i <= NR; i++) if (!(name[i] in isparent)) print line[i] }'
}

# pattern makes what -test.skip takes of the test names in "SETTING TEST …" lines.
pattern() {
	awk '{print $2}' | sed 's/[][().*+?|^$\\]/\\&/g; s,/,$/^,g; s/.*/^&$/' | paste -sd '|' -
}

# outcomes makes "SETTING TEST pass|fail|skip" lines of what the suite printed. A
# panic ends the suite: the test that was running has failed.
outcomes() {
	awk -v setting="$1" '
		/^=== RUN/ { if (!($3 in seen)) order[n++] = $3; seen[$3] = 1 }
		/^ *--- (PASS|FAIL|SKIP): / { result[$3] = tolower(substr($2, 1, 4)) }
		/^panic: / { result[order[n - 1]] = "fail" }
		END { for (i = 0; i < n; i++) print setting, order[i], order[i] in result ? result[order[i]] : "fail" }'
}

# end_nodes ends the nodes that a panic of the suite left behind.
end_nodes() {
	for pid in "$work"/nodes/*/pid; do
		[ ! -f "$pid" ] || kill -9 "$(cat "$pid")" 2>/dev/null || true
	done
	rm -rf "$work/nodes"
	mkdir "$work/nodes"
}

# run writes $work/SETTING.outcomes. Where other suites fail this one may panic,
# which ends all tests that follow, so it is run again without the tests that
# have run, until it comes to its end.
run() {
	setting=$1
	grep "^$setting .* unrun " "$work/expected" >"$work/unrun" || true
	: >"$work/$setting.all"
	while :; do
		leaves <"$work/$setting.all" >"$work/$setting.outcomes"
		before=$(wc -l <"$work/$setting.outcomes")
		code=0
		(cd "$work/suite/esdb" && TMPDIR=$work/nodes "$work/suite.test" -test.v -test.timeout 3m \
			-test.skip "$(cat "$work/unrun" "$work/$setting.outcomes" | pattern)") >"$work/output" 2>&1 || code=$?
		end_nodes
		cat "$work/output" >>"$work/$setting.log"
		outcomes "$setting" <"$work/output" >>"$work/$setting.all"
		leaves <"$work/$setting.all" >"$work/$setting.outcomes"
		[ "$code" -gt 1 ] || break # 0 and 1: it came to its end
		if [ "$(wc -l <"$work/$setting.outcomes")" -eq "$before" ]; then
			echo "conformance: the suite ends before any test; see $work/$setting.log" >&2
			exit 1
		fi
	done
}

# report compares what happened with what is expected.
report() {
	awk '
		NR == FNR {
			test = $1 " " $2; kind[test] = $3; listed[n++] = test
			reason[test] = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", reason[test])
			next
		}
		{ test = $1 " " $2; result[test] = $3; ran[m++] = test }
		function beneathUnrun(test) {
			while (sub("/[^/]*$", "", test)) if (kind[test] == "unrun") return 1
		}
		END {
			for (i = 0; i < n; i++) {
				test = listed[i]
				if (beneathUnrun(test)) continue
				if (kind[test] == "unrun" || result[test] == kind[test]) {
					print "expected not to pass (" kind[test] "): " test ": " reason[test]; expected++
				} else if (result[test] == "pass") {
					wrong[w++] = "PASSES and is listed: " test ": take it from the list"
				} else if (result[test] == "") {
					wrong[w++] = "IS LISTED and is no test that ran: " test
				} else {
					wrong[w++] = "ENDS WITH " result[test] " and is listed with " kind[test] ": " test
				}
			}
			for (i = 0; i < m; i++) {
				test = ran[i]
				if (result[test] == "pass") passed++
				else if (!(test in kind)) wrong[w++] = "ENDS WITH " result[test] " and is not listed: " test
			}
			for (i = 0; i < w; i++) print wrong[i]
			printf "%d passed, %d expected not to pass, %d otherwise than expected\n", passed, expected, w
			exit w > 0
		}' "$work/expected" "$work/plain.outcomes" "$work/secure.outcomes"
}

trap 'end_nodes; exit 130' INT TERM
mkdir "$work/nodes"
export FACTGATE="$work/factgate"
EVENTSTORE_INSECURE=true run plain
EVENTSTORE_INSECURE=false run secure
if report; then
	rm -rf "$work"
else
	echo "conformance: see $here/expected.txt, and $work for what the suite and the nodes said" >&2
	exit 1
fi
