"""The program that the page opens with: what is found in the user's file and beside it without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from anneal.cli.viz_program import Request
from anneal.errors import UsageError
from anneal.export.schema.viz import Launch


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(files: Mapping[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def launch(reference: str, **options: object) -> Launch:
    return Request.of(reference, "step", **options).launch()


def source(reference: str, **options: object) -> str:
    text = launch(reference, **options)["source"]
    assert text is not None
    return text


def value(text: str) -> object:
    """What the last expression of a program gives, as the page has it."""
    body, _, last = text.rstrip().rpartition("\n")
    scope: dict[str, object] = {}
    exec(body, scope)
    return eval(last, scope)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("def small(): return 3", "small"),
        ("class small:\n    def __new__(cls): return 3", "small"),
        ("small = 3", "small"),
        ("small: int = 3", "small"),
        ("small = lambda: 3", "small"),
        ("a, (small, *b) = 1, (3, 4)", "small"),
        ("if True:\n    def small(): return 3\nelse:\n    small = 4", "small"),
        ("try:\n    import nothing_of_that_name\nexcept ImportError:\n    small = 3", "small"),
        ("for small in (1, 3): pass", "small"),
        ("with open('x.txt', 'w') as file:\n    small = 3", "small"),
        ("from math import *", "tau"),
        ("import math as small", "small"),
    ],
)
def test_the_value_is_what_the_function_gives_or_the_name_holds(text: str, function: str) -> None:
    import math

    write({"mine.py": text})
    expected: object = {"tau": math.tau}.get(function, math if "import math as" in text else 3)
    assert value(source(f"mine.py:{function}")) == expected


def test_lines_stay_where_they_are_and_nothing_runs() -> None:
    text = "import nothing_of_that_name\n\n\ndef small():\n    raise SystemExit\n"
    write({"mine.py": text})
    assert source("mine.py:small") == f"{text}\n\nsmall()\n"


def test_a_syntax_error_is_for_the_page_to_show() -> None:
    for text in ("def small(:\n", "x = '", "\0", "(" * 300, "def small(): return 1\n  x"):
        write({"mine.py": text})
        assert source("mine.py:small") == f"{text}\n\nsmall()\n"
        assert source("mine.py") == text


def test_a_file_that_ends_with_an_expression_needs_no_function() -> None:
    write({"mine.py": "def small(): return 3\nsmall()\n"})
    assert source("mine.py") == "def small(): return 3\nsmall()\n"
    write({"mine.py": "def small(): return 3\n"})
    with pytest.raises(UsageError, match="say which function of mine.py, as mine.py:small: there is only small"):
        Request.of("mine.py")


@pytest.mark.parametrize("function", ["", "smal", "small()", "small.x", "import os", "_small", "os", "x"])
def test_a_function_that_is_not_there_is_told(function: str) -> None:
    write({"mine.py": "def small():\n    x = 1\ndef _small(): ...\n"})
    with pytest.raises(UsageError, match=r"no function|say which function"):
        Request.of(f"mine.py:{function}")


def test_nothing_but_a_name_gets_into_the_program() -> None:
    for text in ("from math import *", "def small(:"):
        write({"mine.py": text})
        for function in ("__import__('os')", "a;b", "a b", "a\nb"):
            try:
                assert source(f"mine.py:{function}") == text
            except UsageError as error:
                assert "no function" in str(error)


def test_encodings_are_as_python_reads_them() -> None:
    Path("mine.py").write_bytes(b"# -*- coding: latin-1 -*-\r\nx = '\xe9'\r\nx\r\n")
    assert source("mine.py") == "# -*- coding: latin-1 -*-\nx = 'é'\nx\n"
    Path("mine.py").write_bytes(b"\xef\xbb\xbfx = 1\nx\n")
    assert source("mine.py") == "x = 1\nx\n"
    for data in (b"x = '\xe9'\n", b"# coding: no-such-thing\n"):
        Path("mine.py").write_bytes(data)
        with pytest.raises(UsageError, match=r"mine\.py is no text in UTF-8"):
            Request.of("mine.py:x")


def test_modules_of_the_folder_come_along_and_no_others() -> None:
    write(
        {
            "mine.py": "import json, helper, anneal\nfrom nets.small import Net\nfrom nets import deep\ndef f():\n    import late\ndef g(): return Net()\n",
            "helper.py": "import other\nfrom . import wrong\n",
            "other.py": "import helper, mine\n",
            "late.py": "x = (",
            "unused.py": "",
            "anneal/__init__.py": "raise SystemExit",
            "nets/__init__.py": "from .base import Base\n",
            "nets/base.py": "from ..late import x\nfrom .parts.one import One as Uno\n",
            "nets/small.py": "from . import sizes\nfrom .base import *\n",
            "nets/sizes.py": "",
            "nets/deep.py": "",
            "nets/unused.py": "",
            "nets/parts/one.py": "",
            "wrong.py": "",
        }
    )
    files = launch("mine.py:g")["files"]
    assert sorted(files) == [
        "helper.py",
        "late.py",
        "mine.py",
        "nets/__init__.py",
        "nets/base.py",
        "nets/deep.py",
        "nets/parts/one.py",
        "nets/sizes.py",
        "nets/small.py",
        "other.py",
        "wrong.py",
    ]
    assert files["helper.py"] == "import other\nfrom . import wrong\n"


def test_a_module_that_is_no_text_is_told() -> None:
    write({"mine.py": "import helper\ndef f(): ..."})
    Path("helper.py").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UsageError, match=r"helper\.py is no text in UTF-8"):
        Request.of("mine.py:f")


def test_files_are_read_each_time() -> None:
    write({"mine.py": "def f(): return 1"})
    request = Request.of("mine.py:f", "step")
    write({"mine.py": "def f(): return 2"})
    assert request.launch() == {"name": "mine.py:f", "example": None, "source": "def f(): return 2\n\nf()\n", "part": "step", "files": {}}
    Path("mine.py").unlink()
    with pytest.raises(FileNotFoundError):
        request.launch()


def test_options_become_part_of_the_program() -> None:
    from anneal.examples import EXAMPLES

    example = value(source("mlp", batch=32, optimizer="adam", lr=None))
    assert (example.batch, example.optimizer, example.lr, example.name) == (32, "adam", EXAMPLES["mlp"].lr, "mlp")  # type: ignore[attr-defined]
    write({"mine.py": "from anneal.examples import EXAMPLES\n\ndef f():\n    return EXAMPLES['conv']\n"})
    example = value(source("mine.py:f", batch=8))
    assert (example.batch, example.name) == (8, "conv")  # type: ignore[attr-defined]
    assert launch("mlp", batch=None)["source"] is None
