#!/bin/sh
# Makes the virtual environment .venv with a Python of version 3.11 or newer. PYTHON names the one to use.
#
#     tools/venv.sh [FOLDER]
set -eu

folder=${1:-.venv}

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "anneal needs Python 3.11 or newer, and none of these is: ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}." >&2
    echo "Install one, or say where it is: make PYTHON=/path/to/python3 ..." >&2
    exit 1
}

if [ -x "$folder/bin/python" ] && fits "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

python=$(find_python)
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$(dirname "$0")/apt.sh" "python$version-venv" || {
        echo "$python cannot make virtual environments: it lacks the modules venv and ensurepip." >&2
        echo "Install them (Debian and Ubuntu: apt-get install python3-venv) and try again." >&2
        exit 1
    }
fi
"$python" -m venv --clear "$folder"
