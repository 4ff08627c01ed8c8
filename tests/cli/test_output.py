"""What all verbs print alike: numbers, times, lines that are broken."""

from __future__ import annotations

import math
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anneal.cli.output import Style, digits, duration, wrapped

CODE = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (4170.4, "4,170"), (61970, "61,970"), (9.996, "10.0"), (9.994, "9.99"), (0.00012345, "0.000123"), (-1.5, "-1.50"), (math.inf, "inf")],
)
def test_numbers_have_three_digits_and_no_exponent(number: float, text: str) -> None:
    assert digits(number) == text


@given(st.floats(1e-12, 1e12))
def test_a_number_is_right_to_three_digits(number: float) -> None:
    text = digits(number)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(number, rel=5.01e-3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 s"), (1.5e-9, "0.00150 us"), (9.996e-4, "1.00 ms"), (0.0123, "12.3 ms"), (1.0, "1.00 s"), (4321.0, "4,321 s")]
)
def test_times_are_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds, plain=True) == text
    assert duration(seconds) == text.replace("us", "µs")


def test_a_painted_line_is_broken_where_the_bare_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    style = Style(sys.stdout, plain=False)
    bare = "  add_zero  x + 0 => x  # 0.0 added to -0.0 would give 0.0, and averyveryverylongword"
    painted = f"  {style.bold('add_zero')}  x + 0 => x{style.dim('  # 0.0 added to -0.0 would give 0.0, and averyveryverylongword')}"
    assert CODE.sub("", painted) == bare
    for width in (20, 30, 40, 80, len(bare)):
        made = wrapped(painted, width)
        assert [CODE.sub("", line) for line in made] == wrapped(bare, width)
        assert "".join(CODE.findall("".join(made))) == "".join(CODE.findall(painted))
        assert max(len(CODE.sub("", line)) for line in made) <= width
