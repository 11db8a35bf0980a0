# Sourced by ensure-*.sh, which have found that something is missing.
# shellcheck shell=sh

# install WHAT WHY PACKAGE... installs Debian's packages, as root or with sudo that
# asks no password. Otherwise it says in one line what to type. It ends the script
# with 1 when they are not installed.
install() {
	what=$1
	missing="$1 is missing ($2)"
	shift 2
	if [ "$(id -u)" -eq 0 ]; then
		as_root=env
	elif sudo -n true 2>/dev/null; then
		as_root='sudo -n env'
	else
		echo "$missing: type  sudo apt-get install --no-install-recommends $*" >&2
		exit 1
	fi
	echo "$missing: installing from Debian: $*" >&2
	# shellcheck disable=SC2086 # as_root is a command with its arguments
	if ! { $as_root apt-get update -qq && $as_root DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends "$@"; } >/dev/null; then
		echo "$what could not be installed: type  apt-get update && apt-get install --no-install-recommends $*  as root and see why" >&2
		exit 1
	fi
}

is_debian() { [ "$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null)" = debian ]; }
