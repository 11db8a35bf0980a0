#!/bin/sh
# The whole way once: start one Factgate with everything in it, upload the
# example packages through its API, show each verdict. Ends with 0 if each
# example got the verdict that examples/README.md promises.
set -eu

dir=$(mktemp -d "${TMPDIR:-/tmp}/factgate-demo-XXXXXX")
server=''
finish() {
	code=$?
	trap - EXIT INT TERM
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	if [ "$code" -ne 0 ]; then
		echo "demo: failed; the end of the server's log:" >&2
		tail -n 20 "$dir/log" >&2 2>/dev/null || true
	fi
	rm -rf "$dir"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"${GO:-go}" run ./examples/pack -out "$dir/packages" >/dev/null

# A named pipe instead of polling: the server's one line on standard output.
mkfifo "$dir/ready"
bin/factgate run --data "$dir/data" --listen 127.0.0.1:0 --window 1m --quiet 2s >"$dir/ready" 2>"$dir/log" &
server=$!
read -r word url <"$dir/ready" || word=''
if [ "$word" != ready ]; then
	echo "demo: the server did not start" >&2
	exit 1
fi
echo "Factgate runs at $url (event store, PostgreSQL, coordinator, projector, scanners: one process)"

wrong=0
for zip in "$dir"/packages/*.zip; do
	name=$(basename "$zip" .zip)
	echo
	code=0
	bin/factgate check "$zip" --server "$url" --project demo || code=$?
	case $(sed -n 's/.*"status": "\([A-Z_]*\)".*/\1/p' "examples/$name/example.json") in
	SUCCESS) want=0 ;;
	PARTIAL_SUCCESS) want=1 ;;
	*) want=2 ;;
	esac
	if [ "$code" -ne "$want" ]; then
		echo "demo: $name: exit code $code, expected $want" >&2
		wrong=1
	fi
	[ "$code" -le 2 ] || exit "$code"
done
exit "$wrong"
