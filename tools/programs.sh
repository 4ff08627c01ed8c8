#!/bin/sh
# Sees to the programs that the tests drive: installs the package of each that is missing.
#
#     tools/programs.sh PROGRAM:PACKAGE...
set -eu

for pair in "$@"; do
    program=${pair%%:*}
    package=${pair#*:}
    command -v "$program" >/dev/null 2>&1 && continue
    if "$(dirname "$0")/apt.sh" "$package" && command -v "$program" >/dev/null 2>&1; then
        continue
    fi
    echo "The tests drive $program, which is not there and could not be installed (Debian and Ubuntu: apt-get install $package)." >&2
    exit 1
done
