"""The comparison of a document with the TypedDict that says its form.

>>> from anneal.export.schema.kernels import Boundary
>>> check({"value": "add float32(2,)", "scope": "inline", "reason": "", "name": None, "more": 1}, Boundary)
>>> check({"value": 1, "scope": "inline", "reason": "", "name": None}, Boundary)
Traceback (most recent call last):
    ...
anneal.errors.ParseError: value: expected str, found 1
"""

from __future__ import annotations

import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from anneal.errors import ParseError


def check(document: Any, schema: Any, place: str = "") -> None:
    """Raise ParseError, saying where, unless a document has the form that a TypedDict or another annotation describes."""
    stack: list[tuple[Any, Any, str]] = [(document, schema, place)]
    while stack:
        value, kind, where = stack.pop()
        kind = _member(value, kind)
        if is_typeddict(kind):
            hints = _hints(kind)
            if not isinstance(value, dict) or (missing := sorted(kind.__required_keys__ - value.keys())):
                lack = f"lacks {', '.join(missing)}" if isinstance(value, dict) else f"is {value!r}"
                raise ParseError(f"{where or 'the document'} {lack}: expected {kind.__name__}")
            stack.extend((v, hints[k], f"{where}.{k}".lstrip(".")) for k, v in value.items() if k in hints)
        elif get_origin(kind) is list and isinstance(value, list):
            stack.extend((v, get_args(kind)[0], f"{where}[{i}]") for i, v in enumerate(value))
        elif get_origin(kind) is dict and isinstance(value, dict):
            stack.extend((v, get_args(kind)[1], f"{where}.{k}".lstrip(".")) for k, v in value.items())
        elif not _is(value, kind):
            raise ParseError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _member(value: Any, kind: Any) -> Any:
    """Of a union, the member that a dict or list has to be; else the kind itself."""
    if get_origin(kind) in (types.UnionType, Union):
        for member in get_args(kind):
            if (isinstance(value, dict) and (is_typeddict(member) or get_origin(member) is dict)) or (isinstance(value, list) and get_origin(member) is list):
                return member
    return kind


def _is(value: Any, kind: Any) -> bool:
    """True where a value is of a kind that is no TypedDict and no list of them."""
    origin = get_origin(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in get_args(kind)
    if origin in (types.UnionType, Union):
        return any(_is(value, k) for k in get_args(kind))
    if origin is not None or is_typeddict(kind):
        return False
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
