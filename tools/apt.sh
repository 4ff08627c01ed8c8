#!/bin/sh
# Installs packages where that can be done without asking anybody: with apt-get, as root or through sudo.
#
#     tools/apt.sh PACKAGE...
#
# Exits 1, having said nothing, where there is no apt-get or no right to use it.
set -eu

command -v apt-get >/dev/null 2>&1 || exit 1
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || exit 1
    as_root=sudo
    # Without a terminal nobody can type a password.
    [ -t 0 ] || as_root="sudo -n"
    $as_root true 2>/dev/null || exit 1
fi

echo "Installing $* with apt-get." >&2
export DEBIAN_FRONTEND=noninteractive
# The list of packages may be old or empty, so a failure to install is tried once more after reading it anew.
$as_root apt-get install -y --no-install-recommends "$@" >&2 || {
    $as_root apt-get update >&2
    $as_root apt-get install -y --no-install-recommends "$@" >&2
}
