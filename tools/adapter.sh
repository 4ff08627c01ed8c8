#!/bin/sh
# Sees to a GPU adapter: where there is none, installs Mesa's software Vulkan driver.
#
#     tools/adapter.sh PYTHON [required]
#
# Without an adapter anneal runs on its NumPy device; the tests require one.
set -eu

python=$1
required=${2:-}

found() {
    "$python" "$(dirname "$0")/adapter.py"
}

if found; then
    exit 0
fi
if "$(dirname "$0")/apt.sh" mesa-vulkan-drivers libvulkan1 && found; then
    exit 0
fi
echo "No GPU adapter, and no software driver could be installed (Debian and Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)." >&2
[ -z "$required" ] || { echo "The tests run kernels on an adapter: none of them is skipped." >&2; exit 1; }
echo "Programs will run on the reference device, in NumPy: right, and slow." >&2
