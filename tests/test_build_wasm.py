"""The site is what its sources give, each time the same, and a build that fails costs nobody the site that was there."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import site_files
import site_npm
from site_build import package_files
from site_python import Bytecode
from site_report import LIMIT, ON_DEMAND, first_visit, parts

from anneal import Target
from anneal.examples import EXAMPLES
from anneal.examples.program import Program, trace
from anneal.tensor.realize import compile_program
from anneal.view import instances

ROOT = Path(__file__).resolve().parent.parent


def build(tree: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """What the command says in a tree."""
    env = os.environ if path is None else os.environ | {"PATH": path}
    return subprocess.run([sys.executable, str(tree / "build_wasm.py"), *arguments], capture_output=True, text=True, check=False, env=env)


def sources(target: Path, origin: Path = ROOT) -> Path:
    """A copy of everything that the site is made from; npm's packages are shared."""
    unwanted = shutil.ignore_patterns("__pycache__", "node_modules", "dist", ".*")
    for folder in ("anneal", "tools", "viz"):
        shutil.copytree(origin / folder, target / folder, ignore=unwanted)
    for name in ("build_wasm.py", "pyproject.toml"):
        shutil.copy(origin / name, target)
    (target / "viz" / "node_modules").symlink_to(site_npm.install(ROOT / "viz"))
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with its site."""
    tree = sources(tmp_path_factory.mktemp("built"))
    done = build(tree)
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture
def tree(built: Path, tmp_path: Path) -> Path:
    """A tree with its site, to be changed."""
    return shutil.copytree(built, tmp_path / "tree", symlinks=True)


def manifest(tree: Path) -> dict[str, Any]:
    """What the site of a tree says of itself."""
    return dict(json.loads((tree / "viz" / "dist" / "manifest.json").read_text(encoding="utf-8")))


def site(tree: Path) -> dict[str, bytes]:
    """Every file of a tree's site."""
    return site_files.read_tree(tree / "viz" / "dist")


def test_the_manifest_tells_every_file_and_only_those(built: Path) -> None:
    files = site(built)
    told = manifest(built)
    assert told["files"] == {name: {"sha256": site_files.digest(data), "bytes": len(data)} for name, data in files.items() if name != "manifest.json"}
    assert {told["pyodide"], told["stdlib"], told["editor"], *told["archives"], "index.html", "worker.js", "service-worker.js"} <= files.keys()
    assert not [name for name in files if "node_modules" in name or "package" in name or name.startswith(("tests/", "bench/"))]


def test_the_page_is_served_as_it_is_written(built: Path) -> None:
    files = site(built)
    for name in ("index.html", "worker.js", "page/main.js"):
        assert files[name] == (built / "viz" / name).read_bytes()


def test_every_module_that_the_editor_imports_is_there(built: Path) -> None:
    files = site(built)
    modules = [name for name in files if name.startswith("pyscript/")]
    imported = {target for name in modules for target in re.findall(rb'(?:from|import) ?"\./([\w.-]+)"', files[name])}
    assert len(imported) >= 6
    assert {f"pyscript/{name.decode()}" for name in imported} == {*modules} - {"pyscript/codemirror.js"}


def test_the_same_sources_give_the_same_site_anywhere(built: Path, tmp_path: Path) -> None:
    again = sources(tmp_path, built)
    assert build(again).returncode == 0
    assert site(again) == site(built)


def test_bytecode_is_the_same_alone_in_company_and_in_any_order(tmp_path: Path) -> None:
    pyodide = site_npm.install(ROOT / "viz") / "pyodide"
    files = package_files(ROOT)
    chosen = {name: files[name] for name in ("anneal/ir/uop.py", "anneal/ir/ops.py", "anneal/codegen/wgsl.py", "anneal/tensor/tensor.py")}
    together = Bytecode(pyodide, tmp_path / "a").compile(chosen)
    backwards = Bytecode(pyodide, tmp_path / "b").compile(dict(reversed(chosen.items())))
    alone = Bytecode(pyodide, tmp_path / "c").compile({"anneal/ir/ops.py": chosen["anneal/ir/ops.py"]})
    assert together == backwards
    assert together.keys() == {f"{name}c" for name in chosen}
    assert alone["anneal/ir/ops.pyc"] == together["anneal/ir/ops.pyc"]


def test_building_again_does_nothing_and_says_so(built: Path) -> None:
    before = (built / "viz" / "dist").stat().st_ino
    done = build(built)
    assert (done.returncode, done.stdout, done.stderr) == (0, "viz/dist is fresh\n", "")
    assert (built / "viz" / "dist").stat().st_ino == before


def test_a_fresh_site_is_told_from_a_missing_one(tree: Path) -> None:
    assert build(tree, "--check").returncode == 0
    shutil.rmtree(tree / "viz" / "dist")
    done = build(tree, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: viz/dist is not built: run python build_wasm.py\n")


@pytest.mark.parametrize(
    "name", ["anneal/rules/algebra.upat", "anneal/errors.py", "viz/index.html", "viz/package-lock.json", "tools/site_report.py", "build_wasm.py"]
)
def test_a_site_is_stale_once_a_source_changes(tree: Path, name: str) -> None:
    path = tree / name
    text = path.read_bytes()
    path.write_bytes(text + b"\n")
    done = build(tree, "--check")
    assert (done.returncode, done.stderr) == (1, "error: viz/dist is stale, its sources have changed: run python build_wasm.py\n")
    path.write_bytes(text)  # another time, the same contents
    assert build(tree, "--check").returncode == 0


def test_a_new_source_and_a_lost_one_make_a_site_stale(tree: Path) -> None:
    new = tree / "viz" / "page" / "another.js"
    new.write_text("export const x = 1;\n", encoding="utf-8")
    assert build(tree, "--check").returncode == 1
    new.unlink()
    (tree / "anneal" / "view" / "tree.py").unlink()
    assert build(tree, "--check").returncode == 1


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_a_site_that_lost_a_file_is_built_anew(tree: Path, spoil: Any) -> None:
    spoil(tree / "viz" / "dist" / "worker.js")
    done = build(tree, "--check")
    assert (done.returncode, done.stderr) == (1, "error: viz/dist is not whole, worker.js is missing or changed: run python build_wasm.py\n")
    assert build(tree).returncode == 0
    assert build(tree, "--check").returncode == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": 1}}', "\x00"])
def test_a_manifest_of_another_kind_is_a_stale_site(tree: Path, text: str) -> None:
    (tree / "viz" / "dist" / "manifest.json").write_text(text, encoding="utf-8")
    done = build(tree, "--check", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"fresh": False, "reason": "viz/dist/manifest.json is no manifest"}


def test_an_edit_changes_the_files_that_it_should(tree: Path) -> None:
    before = manifest(tree)
    with (tree / "anneal" / "errors.py").open("a", encoding="utf-8") as file:
        file.write("\nCHANGED = 1\n")
    assert build(tree).returncode == 0
    after = manifest(tree)
    assert after["source_hash"] != before["source_hash"]
    same = {name for name in before["files"] if before["files"][name] == after["files"].get(name)}
    assert before["files"].keys() - same == set(before["archives"])
    assert after["files"].keys() - same == set(after["archives"])


def test_a_build_that_fails_leaves_the_site_that_was_there(tree: Path) -> None:
    before = site(tree)
    (tree / "anneal" / "viz" / "tab.py").write_text("this is no Python\n", encoding="utf-8")
    done = build(tree)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "tab.py" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 320
    assert site(tree) == before
    assert sorted(path.name for path in (tree / "viz").glob(".*")) in ([".lock"], [".lock", ".lock-packages"])


def fake(folder: Path, name: str, text: str) -> str:
    """A PATH with one program on it, which prints a text."""
    folder.mkdir()
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{text}'\n", encoding="utf-8")
    program.chmod(0o755)
    return str(folder)


def test_what_is_missing_to_build_with_is_told(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "viz" / "dist")
    (tree / "viz" / "node_modules").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, message in [
        (str(empty), "npm, and none is on the PATH"),
        (fake(tmp_path / "npm", "npm", "11.0.0"), "Node 20.19 or newer, and no node is on the PATH"),
    ]:
        done = build(tree, path=path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: building the site needs {message}")
    (tmp_path / "npm" / "node").write_text("#!/bin/sh\necho v18.4.0\n", encoding="utf-8")
    (tmp_path / "npm" / "node").chmod(0o755)
    done = build(tree, path=str(tmp_path / "npm"))
    assert "Node 20.19 or newer, and " in done.stderr
    assert "is v18.4.0: install a newer one" in done.stderr
    assert not (tree / "viz" / "dist").exists()


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import anneal
from importlib.metadata import version
from anneal.examples import EXAMPLES, digits
from anneal.examples.program import Program, trace
from anneal.tensor.realize import compile_program
from anneal.view import instances
program = Program(EXAMPLES["mlp"])
traced, _ = trace(program.outputs("step"), program.names())
print(anneal.__file__.startswith(sys.argv[1]), version("anneal-compiler"))
print(compile_program(traced, anneal.Target.portable()).fingerprint)
print(digits.load().held_inputs.shape, len(instances.statements()), len(instances.handlers()))
"""


def test_the_package_file_is_the_package_natively(built: Path) -> None:
    [name] = manifest(built)["archives"]
    flags = ["-I", "-S", "-W", "error", "-c", PROGRAM, str(built / "viz" / "dist" / name)]
    done = subprocess.run([sys.executable, *flags], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    here = Program(EXAMPLES["mlp"])
    traced, _ = trace(here.outputs("step"), here.names())
    fingerprint = compile_program(traced, Target.portable()).fingerprint
    assert done.stdout.splitlines() == ["True 0.1.0", fingerprint, f"(360, 64) {len(instances.statements())} {len(instances.handlers())}"]


def test_the_package_file_holds_everything(built: Path) -> None:
    told = manifest(built)
    files = package_files(built)
    held = site_files.contents((built / "viz" / "dist" / told["archives"][0]).read_bytes())
    assert {name: data for name, data in held.items() if not name.endswith(".pyc")} == files
    assert {name for name in held if name.endswith(".pyc")} <= {f"{name}c" for name in files}
    assert "anneal/viz/tab.pyc" in held
    assert told["source_hash"] == site_files.digest_of(files)


def test_all_of_the_standard_library_that_is_kept_can_be_imported(built: Path, tmp_path: Path) -> None:
    script = tmp_path / "import.mjs"
    script.write_text(
        """
        import { pathToFileURL } from "node:url";
        const [home, library] = process.argv.slice(2);
        const { loadPyodide } = await import(pathToFileURL(`${home}/pyodide.mjs`));
        const python = await loadPyodide({ indexURL: home, stdLibURL: library });
        process.stdout.write(python.runPython(`
import contextlib, importlib, io, json, sys, zipfile
place = next(p for p in sys.path if p.endswith(".zip"))
names = [n.removesuffix("c") for n in zipfile.ZipFile(place).namelist()]
modules = [n[:-3].replace("/", ".").removesuffix(".__init__") for n in names if not n.endswith("__main__.py") and n not in ("this.py", "antigravity.py")]
failed = {}
for module in modules:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(module)
    except BaseException as error:
        failed[module] = repr(error)
json.dumps([len(modules), failed])`));
        """,
        encoding="utf-8",
    )
    told = manifest(built)
    output = site_npm.run_node(script, str(ROOT / "viz" / "node_modules" / "pyodide"), str(built / "viz" / "dist" / told["stdlib"]))
    count, failed = json.loads(output)
    assert failed == {}
    assert count > 400


def test_a_first_visit_loads_at_most_eight_megabytes(built: Path) -> None:
    found = parts(built / "viz" / "dist", manifest(built))
    assert set(found) == {"Python (Pyodide)", "Python's standard library", "the package", "the editor", "the page", ON_DEMAND}
    assert 5_000_000 < first_visit(found)[1] <= LIMIT == 8_000_000


def test_the_lock_file_pins_packages_of_the_public_registry() -> None:
    lock = json.loads((ROOT / "viz" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert all(entry.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/") for entry in packages.values())
    wanted = json.loads((ROOT / "viz" / "package.json").read_text(encoding="utf-8"))
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert tuple(map(int, wanted["dependencies"]["pyodide"].split("."))) >= (314, 0, 5), "earlier ones corrupt context variables around run_sync"


def test_json_says_what_there_is(built: Path) -> None:
    done = build(built, "--json")
    assert json.loads(done.stdout) == {"fresh": True, "reason": None}
    done = build(built, "--json", "--force")
    told = json.loads(done.stdout)
    sizes = {part: (size["bytes"], size["compressed"]) for part, size in told.pop("sizes").items()}
    assert told == manifest(built)
    assert sizes == parts(built / "viz" / "dist", told)
    assert sum(plain for plain, _ in sizes.values()) == sum(entry["bytes"] for entry in told["files"].values())


@pytest.mark.parametrize("name", ["site_files", "site_python"])
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
