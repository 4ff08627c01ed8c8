"""What the site takes from the npm registry: exactly what the lock file says, installed once, and Node to run it.

No package's own scripts run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from site_files import SiteError, alone, digest

NEEDED: Final = (20, 19)
"""The oldest Node that will do, as `package.json` says too."""


def node() -> str:
    """The path of a Node that is new enough."""
    wanted = ".".join(map(str, NEEDED))
    path = shutil.which("node")
    if path is None:
        raise SiteError(f"building the site needs Node {wanted} or newer, and no node is on the PATH: install it from nodejs.org or your system's packages")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    version = re.match(r"v(\d+)\.(\d+)", told)
    if version is None or (int(version[1]), int(version[2])) < NEEDED:
        raise SiteError(f"building the site needs Node {wanted} or newer, and {path} is {told or 'silent about its version'}: install a newer one")
    return path


def run_node(script: Path, *arguments: str) -> str:
    """What a script prints; a failure is told with the end of what it wrote."""
    done = subprocess.run([node(), str(script), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = [line[:300] for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise SiteError(f"{script.name} failed:\n" + "\n".join(lines[-15:]))
    return done.stdout


def locked(folder: Path) -> dict[str, str]:
    """The version of each package that the lock file names."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    return {path.removeprefix("node_modules/"): str(entry["version"]) for path, entry in lock["packages"].items() if path.startswith("node_modules/")}


def install(folder: Path, *, everything: bool = False) -> Path:
    """The folder of packages, installed from the lock file where it is not; `everything` adds what only the tests of the page use."""
    with alone(folder / ".lock-packages"):
        return _install(folder, everything)


def _install(folder: Path, everything: bool) -> Path:
    modules = folder / "node_modules"
    stamp = modules / ".installed"
    lock = digest((folder / "package-lock.json").read_bytes())
    there = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if lock in there and ("everything" in there or not everything):
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise SiteError("building the site needs npm, and none is on the PATH: it comes with Node, or as a package of its own (Debian: npm)")
    node()
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", *([] if everything else ["--omit=dev"])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"NODE_ENV": ""})  # noqa: S603
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise SiteError(f"npm could not install what viz/package-lock.json names; is the registry in reach?\n{said}")
    stamp.write_text(f"{lock} {'everything' if everything else ''}\n", encoding="utf-8")
    return modules


if __name__ == "__main__":  # what only the tests of the page need, too
    try:
        install(Path(__file__).resolve().parent.parent / "viz", everything=True)
    except SiteError as error:
        raise SystemExit(f"error: {error}") from None
