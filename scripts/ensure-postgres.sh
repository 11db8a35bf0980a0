#!/bin/sh
# Makes sure that this machine has a PostgreSQL server for factgate to run
# privately (internal/pgdev). The Makefile calls it before run, demo and test.
#
#   exit 0  initdb and postgres are there; silent if they were there before
#   exit 1  they are not; the last line says what to type
#
# Where the system is Debian's kind and we are root, or sudo asks for no
# password, it installs the package postgresql. It never touches a PostgreSQL
# that is there already, and has the package make no system-wide cluster: what
# factgate needs is the programs, not a service.
#
# FACTGATE_TEST_ROOT is put before every absolute path, for the tests.
set -u
root=${FACTGATE_TEST_ROOT:-}
common=$root/etc/postgresql-common
dropin=$common/createcluster.d/zz-factgate-install.conf

# The same places as distributionFolders in internal/pgdev/binaries.go.
folders='
/usr/lib/postgresql/*/bin
/usr/pgsql-*/bin
/usr/lib/postgresql[0-9]*/bin
/usr/libexec/postgresql[0-9]*
/opt/homebrew/opt/postgresql*/bin
/usr/local/opt/postgresql*/bin
/home/linuxbrew/.linuxbrew/opt/postgresql*/bin
/Applications/Postgres.app/Contents/Versions/*/bin
'

has_server() { [ -f "$1/initdb" ] && [ -x "$1/initdb" ] && [ -f "$1/postgres" ] && [ -x "$1/postgres" ]; }

# Runs in a subshell: it changes IFS.
found() (
	IFS=:
	set -f
	for dir in $PATH; do
		case $dir in
		/*) has_server "$dir" && exit 0 ;;
		esac
	done
	set +f
	IFS='
'
	for pattern in $folders; do
		for dir in $root$pattern; do # unquoted: a pattern
			has_server "$dir" && exit 0
		done
	done
	exit 1
)

# Prints the ID and ID_LIKE of the distribution, or nothing.
distribution() (
	ID='' ID_LIKE=''
	# shellcheck disable=SC1091 # not a file of ours
	[ -r "$root/etc/os-release" ] && . "$root/etc/os-release"
	echo "$ID $ID_LIKE"
)

say() { echo "factgate: $*" >&2; }

give_up() {
	say "$1; $2  (or use a server you have: --database postgres://...)"
	exit 1
}

found && exit 0

sudo='sudo '
[ "$(id -u)" = 0 ] && sudo=''
debian=no
hint='install the PostgreSQL server package of your system'
if [ "$(uname -s)" = Darwin ]; then
	hint='type: brew install postgresql'
else
	for id in $(distribution); do
		case $id in
		debian | ubuntu) hint="type: ${sudo}apt-get install -y postgresql"; debian=yes ;;
		fedora | rhel | centos) hint="type: ${sudo}dnf install -y postgresql-server" ;;
		suse | opensuse) hint="type: ${sudo}zypper install -y postgresql-server" ;;
		alpine) hint="type: ${sudo}apk add postgresql" ;;
		arch) hint="type: ${sudo}pacman -S --noconfirm postgresql" ;;
		*) continue ;;
		esac
		break
	done
fi

if [ $debian = no ] || ! command -v apt-get >/dev/null 2>&1; then
	give_up 'no PostgreSQL server found' "$hint"
fi
if [ -n "$sudo" ] && ! sudo -n true >/dev/null 2>&1; then
	give_up 'no PostgreSQL server found, and sudo asks for a password' "$hint"
fi

# as_root runs a command as root; env, because sudo clears the environment.
as_root() {
	if [ -n "$sudo" ]; then sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; else env DEBIAN_FRONTEND=noninteractive "$@"; fi
}
apt() { as_root apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

# postgresql-common decides, when a server package is configured, whether to make
# the cluster "main". Its include folder lets us say no for this one time without
# touching a setting of the administrator's.
install_programs() {
	apt update || return
	apt install -y --no-install-recommends postgresql-common || return
	if grep -qs '^include_dir' "$common/createcluster.conf"; then
		as_root mkdir -p "$common/createcluster.d" || return
		echo 'create_main_cluster = false' | as_root tee "$dropin" || return
	fi
	apt install -y --no-install-recommends postgresql
}

log=$(mktemp) || exit 1
cleanup() {
	rm -f "$log"
	[ ! -e "$dropin" ] || as_root rm -f "$dropin"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

say "no PostgreSQL server found; installing the package postgresql with ${sudo}apt-get (programs only, no system cluster)"
install_programs >"$log" 2>&1 </dev/null
status=$?
if [ $status -ne 0 ] || ! found; then
	tail -n 15 "$log" >&2
	give_up "installing the package postgresql failed (status $status, see above)" "type: ${sudo}apt-get update && ${sudo}apt-get install -y postgresql"
fi
