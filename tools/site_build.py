"""Puts the site together: the page's own files, Pyodide, the editor, the package, and a manifest that tells what each file is.

`manifest.json` names each file with its SHA-256 and bytes, and what `worker.js` loads: `pyodide`, `stdlib`, and `archives` for `sys.path`.
`built_from` is one hash of everything that the site is made from: it decides whether a site is fresh.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from site_files import SiteError, alone, digest, digest_of, read_tree, replacing, write_tree
from site_npm import install, locked
from site_python import Bytecode, library_archive, package_archive, start_files

NOT_SERVED: Final = frozenset({"node_modules", "dist", "tests", "bench", "package.json", "package-lock.json", "eslint.config.mjs"})
"""What lies in viz/ and is no part of the site."""
PYODIDE: Final = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
EDITOR: Final = {
    "core": "codemirror",
    "commands": "codemirror_commands",
    "language": "codemirror_language",
    "python": "codemirror_lang-python",
    "state": "codemirror_state",
    "view": "codemirror_view",
}
"""The parts of CodeMirror: the name by which the page imports each from `pyscript/codemirror.js`, and what PyScript calls its file."""
_SOURCE_MAP: Final = re.compile(rb"\n?//# sourceMappingURL=\S+\s*$")


def package_files(root: Path) -> dict[str, bytes]:
    """The package, by path inside its archive, and its name and version, as an installed package has them."""
    files = {f"anneal/{name}": data for name, data in read_tree(root / "anneal").items() if not name.endswith((".pyc", ".tmp"))}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    return {**files, f"{project['name'].replace('-', '_')}-{project['version']}.dist-info/METADATA": told.encode()}


def page_files(root: Path) -> dict[str, bytes]:
    """The page's own files as they are served."""
    return read_tree(root / "viz", NOT_SERVED)


def built_from(root: Path) -> str:
    """One hash of everything that decides what the site is."""
    tools = {path.name: path.read_bytes() for path in (root / "tools").glob("site_*") if path.is_file() and path.stem != "site_screenshots"}
    lock = {"package-lock.json": (root / "viz" / "package-lock.json").read_bytes(), "build_wasm.py": (root / "build_wasm.py").read_bytes()}
    return digest_of({**package_files(root), **{f"viz/{name}": data for name, data in page_files(root).items()}, **tools, **lock})


def freshness(root: Path) -> str | None:
    """What is wrong with the site, or None where it is whole and what these sources give."""
    dist = root / "viz" / "dist"
    try:
        manifest = json.loads((dist / "manifest.json").read_bytes())
        files = {name: int(entry["bytes"]) for name, entry in manifest["files"].items()}
        made_from = manifest["built_from"]
    except FileNotFoundError:
        return "viz/dist is not built"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "viz/dist/manifest.json is no manifest"
    if made_from != built_from(root):
        return "viz/dist is stale, its sources have changed"
    for name, size in files.items():
        path = dist / name
        if not path.is_file() or path.stat().st_size != size:
            return f"viz/dist is not whole, {name} is missing or changed"
    return None


def editor_files(modules: Path) -> dict[str, bytes]:
    """The modules of CodeMirror that PyScript ships, and one module that gives its parts under stable names."""
    folder = modules / "@pyscript" / "core" / "dist"
    core = "".join(path.read_text(encoding="utf-8") for path in folder.glob("core-*.js"))
    found: dict[str, bytes] = {}
    lines = ["// The parts of CodeMirror as PyScript ships them, under stable names. Made by build_wasm.py."]
    for name, title in sorted(EDITOR.items()):
        # PyScript imports each part lazily; where the bundler hid its names behind one letter, the import says which.
        match = re.search(rf'import\("\./({re.escape(title)}-[\w-]+\.js)"\)(?:\.then\(function\((\w+)\)\{{return \2\.(\w+)\}}\))?', core)
        if match is None:
            raise SiteError(f"@pyscript/core no longer ships {title}: see which files of its dist/ hold CodeMirror now")
        lines.append(f'import {{ {match[3]} as {name} }} from "./{match[1]}";' if match[3] else f'import * as {name} from "./{match[1]}";')
        _with_imports(folder, match[1], found)
    lines.append(f"export {{ {', '.join(sorted(EDITOR))} }};\n")
    return {**{f"pyscript/{name}": data for name, data in found.items()}, "pyscript/codemirror.js": "\n".join(lines).encode()}


def _with_imports(folder: Path, name: str, found: dict[str, bytes]) -> None:
    todo = [name]
    while todo:
        name = todo.pop()
        if name not in found:
            data = (folder / name).read_bytes()
            found[name] = _SOURCE_MAP.sub(b"\n", data)
            todo.extend(match.decode() for match in re.findall(rb'(?:from|import)"\./([\w.-]+\.js)"', data))


def build(root: Path, *, force: bool = False) -> dict[str, Any]:
    """Build the site and put it in its place, unless another process just did; its manifest."""
    viz = root / "viz"
    with alone(viz / ".lock"):
        if not force and freshness(root) is None:
            return dict(json.loads((viz / "dist" / "manifest.json").read_bytes()))
        made_from = built_from(root)
        files, loaded = _files(root)
        manifest = {"built_from": made_from, **loaded, "files": {name: {"sha256": digest(data), "bytes": len(data)} for name, data in sorted(files.items())}}
        with replacing(viz / "dist") as folder:
            write_tree(folder, files)
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _files(root: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Every file of the site, and which of them a tab loads."""
    viz = root / "viz"
    package = package_files(root)
    page = page_files(root)
    modules = install(viz)
    versions = locked(viz)
    compiler = Bytecode(modules / "pyodide", modules / ".cache" / "anneal-site")
    start = start_files(package, compiler)
    source_hash = digest_of(package)
    packed, library = package_archive(package, start, compiler), library_archive(start, compiler)
    # A name that changes with what is in it, so that a browser may keep the file for good.
    archived, stdlib = f"anneal-{source_hash[:12]}-{digest(packed)[:12]}.zip", f"pyodide/python_stdlib-{digest(library)[:12]}.zip"
    files = {**page, **_pyodide_files(compiler.pyodide), **editor_files(modules), stdlib: library, archived: packed}
    return files, {
        "source_hash": source_hash,
        "archives": [archived],
        "pyodide": "pyodide/pyodide.mjs",
        "stdlib": stdlib,
        "editor": "pyscript/codemirror.js",
        "versions": {name: versions[name] for name in ("pyodide", "@pyscript/core")},
    }


def _pyodide_files(folder: Path) -> dict[str, bytes]:
    """Pyodide as it is, but for its list of further packages: the site has none of them."""
    files = {f"pyodide/{name}": _SOURCE_MAP.sub(b"\n", (folder / name).read_bytes()) for name in PYODIDE}
    lock = json.loads((folder / "pyodide-lock.json").read_bytes())
    return {**files, "pyodide/pyodide-lock.json": json.dumps({**lock, "packages": {}}).encode()}
