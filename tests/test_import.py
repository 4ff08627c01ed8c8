"""The frontend needs nothing but the standard library, and little time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = ("numpy", "wgpu", "torch", "hypothesis", "js", "pyodide")


def run(program: str, *flags: str) -> str:
    """The output of a fresh Python that has this tree and, with -S, no installed packages."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANNEAL"))} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *flags, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_import_without_installed_packages() -> None:
    assert run("import anneal, sys; print(anneal.Tensor.__name__, 'site' in sys.modules)", "-S", "-W", "error").split() == ["Tensor", "False"]


def test_import_leaves_heavy_packages_alone() -> None:
    loaded = run(f"import anneal, anneal.nn, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_a_program_compiles_without_installed_packages() -> None:
    program = """
import anneal
x, w = anneal.Tensor([[1.0, 2.0]]), anneal.Tensor([[0.5], [0.25]], requires_grad=True)
loss = (x @ w).relu().sum()
loss.backward()
plan = anneal.compile(loss, w.grad, target=anneal.Target.portable())
print(len(plan.kernels), len(plan.fingerprint), "@compute" in plan.kernels[0].wgsl)
"""
    kernels, digits, is_wgsl = run(program, "-S", "-W", "error").split()
    assert int(kernels) >= 1
    assert (digits, is_wgsl) == ("64", "True")


def test_every_public_name_is_there() -> None:
    assert run("import anneal; print(all(getattr(anneal, name) is not None for name in anneal.__all__))", "-S").strip() == "True"


def test_print_the_import_time() -> None:
    took = run("import time; start = time.perf_counter(); import anneal; print(round((time.perf_counter() - start) * 1e3))", "-S")
    print(f"import anneal: {took.strip()} ms")  # noqa: T201 - a figure to look at with pytest -s; a shared machine proves nothing
    assert int(took) > 0
