"""Prints the GPU adapter that anneal will use; exits 1 where there is none."""

from __future__ import annotations

import sys

from anneal.errors import DeviceError
from anneal.runtime.device import get_device


def main() -> int:
    """0 with an adapter, 1 without."""
    try:
        print(f"adapter: {get_device('webgpu').description}")
    except DeviceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
