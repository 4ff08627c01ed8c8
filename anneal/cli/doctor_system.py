"""What `anneal doctor` finds around the compiler: packages, browsers, caches, the terminal, and whose commands install what is missing.

Nothing is imported to be found, and a program is only asked for its version.

>>> command("debian", "graphviz")
'apt-get install graphviz'
>>> command("other", "graphviz")
"install Graphviz with this system's package manager"
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from anneal.export.schema.doctor import Browser, Cache, Package, Site, Terminal

PACKAGES: Final = {
    "numpy": (True, "runs plans without a GPU"),
    "wgpu": (True, "runs plans on a GPU"),
    "textual": (True, "the dashboard of anneal train"),
    "plotext": (True, "plots in the terminal"),
    "pygments": (True, "WGSL in colour"),
    "matplotlib": (False, "plots as PNG and SVG"),
    "torch": (False, "what anneal bench compares with"),
}
"""Packages that are used: whether they are installed with this one, and what for."""
SYSTEMS: Final = {"linuxmint": "debian", "ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}
_WORDS: Final = {"vulkan": "a software Vulkan driver (Mesa's lavapipe) and the Vulkan loader", "graphviz": "Graphviz", "browser": "Chromium"}
_INSTALL: Final = {
    "debian": ("apt-get install", {"vulkan": "mesa-vulkan-drivers libvulkan1", "graphviz": "graphviz", "browser": "chromium"}),
    "fedora": ("dnf install", {"vulkan": "mesa-vulkan-drivers vulkan-loader", "graphviz": "graphviz", "browser": "chromium"}),
    "arch": ("pacman -S", {"vulkan": "vulkan-swrast vulkan-icd-loader", "graphviz": "graphviz", "browser": "chromium"}),
    "suse": ("zypper install", {"vulkan": "libvulkan_lvp libvulkan1", "graphviz": "graphviz", "browser": "chromium"}),
    "alpine": ("apk add", {"vulkan": "mesa-vulkan-swrast vulkan-loader", "graphviz": "graphviz", "browser": "chromium"}),
    "macos": ("brew install", {"graphviz": "graphviz", "browser": "--cask chromium"}),
    "windows": ("winget install", {"graphviz": "Graphviz.Graphviz", "browser": "Google.Chrome"}),
}
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge", "firefox")
_USUAL: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "/snap/bin/chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
    "C:/Program Files/Mozilla Firefox/firefox.exe",
)
_SECONDS: Final = 10
"""To wait for a program that is asked for its version."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


def system() -> str:
    """Whose commands to give: debian, fedora, arch, suse, alpine, macos, windows or other."""
    if (name := platform.system()) != "Linux":
        return {"Darwin": "macos", "Windows": "windows"}.get(name, "other")
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "other"
    for word in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        known = SYSTEMS.get(word.split("-")[0], word.split("-")[0])
        if known in _INSTALL:
            return known
    return "other"


def command(name: str, what: str) -> str:
    """How to install `what` (vulkan, graphviz or browser) on a system."""
    tool, packages = _INSTALL.get(name, ("", {}))
    return f"{tool} {packages[what]}" if what in packages else f"install {_WORDS[what]} with this system's package manager"


def pip(name: str) -> str:
    """How to install a Python package for this very Python."""
    return f"{sys.executable or 'python'} -m pip install {name}"


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def packages() -> list[Package]:
    """What is used, the programs after the packages."""
    found = [Package(name=name, version=installed(name), needed=needed, purpose=why) for name, (needed, why) in PACKAGES.items()]
    dot = shutil.which("dot")
    return [*found, Package(name="graphviz", version=_ask(dot, "-V") if dot else None, needed=False, purpose="graphs as SVG")]


def _ask(program: str, *arguments: str) -> str | None:
    """The version that a program says it has; "unknown" where it says none, None where it cannot be run."""
    try:
        said = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)  # noqa: S603 - found on PATH
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said.stdout + said.stderr)
    return found.group() if found else "unknown"


def browsers() -> list[Browser]:
    """Browsers on PATH or in usual places, each once."""
    seen: dict[str, str] = {}
    for path in (*map(shutil.which, _BROWSERS), *(place for place in _USUAL if os.path.isfile(place))):
        if path:
            seen.setdefault(os.path.realpath(path), path)
    asked = platform.system() != "Windows"  # there, a browser that is asked for its version opens a window
    return [Browser(name=Path(path).stem, path=path, version=_ask(path, "--version") if asked else None) for path in seen.values()]


def site() -> Site:
    """The visualizer's site beside the package, as it is built from a checkout."""
    path = Path(__file__).resolve().parents[2] / "viz" / "dist"
    return Site(path=str(path), found=(path / "manifest.json").is_file(), bytes=_contents(path)[1])


def caches() -> list[Cache]:
    """The folders of compiled shaders that drivers have made."""
    found = []
    for name, path in dict.fromkeys(_folders()):
        files, nbytes = _contents(path)
        if path.is_dir():
            found.append(Cache(name=name, path=str(path), files=files, bytes=nbytes))
    return found


def _folders() -> Iterator[tuple[str, Path]]:
    """Where drivers keep compiled shaders, by the variables and the habits of each system."""
    places, home = os.environ, Path.home()
    cache = Path(places.get("XDG_CACHE_HOME") or home / ".cache")
    for mesa in (places.get("MESA_SHADER_CACHE_DIR"), cache):
        if mesa:
            yield from (("Mesa", Path(mesa) / name) for name in ("mesa_shader_cache", "mesa_shader_cache_db", "mesa_shader_cache_sf"))
    if nvidia := places.get("__GL_SHADER_DISK_CACHE_PATH"):
        yield "NVIDIA", Path(nvidia) / "GLCache"
    yield from (("NVIDIA", path) for path in (cache / "nvidia" / "GLCache", home / ".nv" / "GLCache", home / ".nv" / "ComputeCache"))
    yield "AMD", cache / "AMDVLK"
    if local := places.get("LOCALAPPDATA"):
        yield from (("Direct3D", Path(local) / "D3DSCache"), ("NVIDIA", Path(local) / "NVIDIA" / "DXCache"), ("AMD", Path(local) / "AMD" / "DxCache"))


def _contents(folder: Path) -> tuple[int, int]:
    """Files below a folder and their bytes; what cannot be read or goes away meanwhile is left out."""
    files = nbytes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                nbytes += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
            files += 1
    return files, nbytes


def terminal(*, colour: bool) -> Terminal:
    """What stdout is; `colour` says whether commands write in colour there."""
    columns, lines = shutil.get_terminal_size()
    return Terminal(tty=sys.stdout.isatty(), colour=colour, columns=columns, lines=lines, encoding=sys.stdout.encoding or "unknown")
