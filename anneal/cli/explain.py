"""`anneal explain`: an op, a rule, a stage, a group of rules or an expression, with the rules that concern it and a real trace.

A name that is of several kinds is explained as each; `op:where`, `rule:detach`, `group:where`, `stage:kernels` and `method:relu` choose.

>>> kinds("where"), kinds("add_zero"), kinds("relu")
(['op', 'group'], ['rule'], ['method'])
"""

from __future__ import annotations

import inspect
import re
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from anneal import rules
from anneal.cli import explain_text as text
from anneal.cli import options as shared
from anneal.cli.output import Style, columns, emit, wrapped
from anneal.errors import GradientError, UsageError, meant
from anneal.export import explain
from anneal.export.schema.explain import VERSION, Explanation
from anneal.ir.ops import ALL_OPS, op_by_name
from anneal.runtime.pipeline import STAGES

if TYPE_CHECKING:
    from anneal.cli.explain_examples import Firings

EXAMPLE: Final = 'anneal explain "(x*4+3)//4"'
_NAME: Final = re.compile(r"(?:(op|rule|stage|group|method)\s*:\s*)?([^\W\d]\w*)$")
_TENSORS: Final = ("Self", "Operand")
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "op": tuple(op.name for op in ALL_OPS),
    "rule": rules.NAMES,
    "stage": ("tensor", "backward", *(s.name for s in STAGES)),
    "group": tuple(rules.GROUPS),
}
"""What can be explained, but for the methods of tensors, which take a while to import."""


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    parser.add_argument("what", metavar="WHAT", nargs="*", help='an op, rule, stage, group, Tensor method, or an expression such as "softmax(x)"')
    parser.add_argument("--rules", action="store_true", help="all rules, with how often each fired when the examples were compiled")
    parser.add_argument("--let", metavar="NAME=IS", action="append", default=[], help="what a free name is: x=0..99, x=float32 or x=float32(4,8)")
    parser.add_argument("--backward", action="store_true", help="the gradients of an expression too")
    parser.add_argument("--wgsl", action="store_true", help="the kernels' source too")
    parser.add_argument("--count", action="store_true", help="how often each rule fired in the examples too (takes seconds)")
    parser.add_argument("--all", action="store_true", help="every step of a long trace")


def run(arguments: Namespace) -> int:
    """Explain; returns the exit code."""
    document: Explanation = {"schema": "anneal.explain", "version": VERSION, "what": " ".join(arguments.what)}
    if arguments.rules == bool(arguments.what):
        raise UsageError("say what to explain, or --rules alone for all rules; see anneal explain --help")
    if arguments.rules:
        _all_rules(document)
    elif (found := _NAME.match(document["what"].strip())) is not None:
        _named(document, found[1], found[2], arguments)
    else:
        _expression(document, document["what"], arguments)
    if arguments.json:
        emit(document)
    else:
        lines, width = text.lines(document, Style(sys.stdout, plain=arguments.plain), everything=arguments.all, wgsl=arguments.wgsl), columns()
        print("\n".join(part for line in lines for part in wrapped(line, width)))
    return 0


def _all_rules(document: Explanation) -> None:
    times = _firings().times
    document["rules"] = [explain.rule(r.name, times) for r in rules.RULES]


def kinds(name: str) -> list[str]:
    """What a name is the name of; a method only where it is nothing else."""
    found = [kind for kind, names in _NAMES.items() if name in names]
    return found or (["method"] if name in _methods() else [])


def _methods() -> tuple[str, ...]:
    from anneal.cli.explain_values import METHODS

    return tuple(METHODS)


def _named(document: Explanation, kind: str | None, name: str, arguments: Namespace) -> None:
    """Everything of that name, or what is of the kind asked for."""
    found = kinds(name)
    if kind == "method" and name in _methods():
        found = ["method"]
    if kind is not None and kind not in found and found:
        raise UsageError(f"no {kind} {name!r}, but {' and '.join(f'an {k}' if k == 'op' else f'a {k}' for k in found)}: anneal explain {found[0]}:{name}")
    if not found:
        question = meant(name, [known for names in (*_NAMES.values(), _methods()) for known in names], 3)
        what = f"no {kind or 'op, rule, stage, group of rules or Tensor method'} {name!r}: {f'{question} An' if question else 'an'}"
        raise UsageError(f"{what} expression has an operator or a call, such as 'x + 1'; anneal explain --rules lists the rules")
    if arguments.let and found != ["method"]:
        raise UsageError(f"--let says what the names of an expression are, and {name} is no expression")
    for each in [kind] if kind is not None else found:
        _one(document, each, name, arguments)


def _one(document: Explanation, kind: str, name: str, arguments: Namespace) -> None:
    """One answer, of a kind that the name has."""
    if kind == "stage":
        from anneal.cli.explain_examples import stage

        document["stage"] = stage(name)
        return
    if kind == "method":
        _expression(document, _call(name), arguments)
        return
    times = _firings().times if arguments.count else None
    if kind == "op":
        document["op"] = explain.operation(name, times)
        if document["op"]["trace"] is None:
            from anneal.cli.explain_examples import seen

            document["op"]["seen"] = seen(op_by_name(name))
        document["op"]["method"] = _signature(name) if name in _methods() else None
    elif kind == "rule":
        shown = explain.shown(name, times)
        document["rule"] = shown if shown["trace"] is not None else explain.shown(name, times, _firings().first.get(name))
    else:
        document["group"] = explain.group(name, times)


def _firings() -> Firings:
    from anneal.cli.explain_examples import firings

    return firings()


def _parameters(method: str) -> list[inspect.Parameter]:
    """What a Tensor method takes beside the tensor."""
    from anneal.cli.explain_values import METHODS

    function = METHODS[method]
    found = list(inspect.signature(getattr(function, "__func__", function)).parameters.values())
    return found[1:]


def _signature(method: str) -> str:
    """How a Tensor method is called, or one of Tensor itself."""
    from anneal.cli.explain_values import METHODS

    parameters = [str(p).partition(":")[0].partition("=")[0] for p in _parameters(method)]
    owner = "Tensor" if isinstance(METHODS[method], classmethod) else "x"
    return f"{owner}.{method}({', '.join(parameters)})"


def _call(method: str) -> str:
    """A call of a Tensor method on tensors alone, named as its parameters are."""
    needed = [p for p in _parameters(method) if p.default is p.empty]
    if any(p.annotation not in _TENSORS or p.kind is not p.POSITIONAL_OR_KEYWORD for p in needed):
        raise UsageError(f"{method} needs more than tensors: write a call of {_signature(method)}, such as anneal explain 'x.reshape(2, 8)'")
    return f"{method}({', '.join(['x', *(p.name for p in needed)])})"


def _expression(document: Explanation, source: str, arguments: Namespace) -> None:
    """An expression through the compiler."""
    from anneal.cli.explain_parse import read
    from anneal.export.explain_trace import scalars, tensors

    found = read(source, arguments.let, tensors=arguments.backward)
    if isinstance(found.outputs, tuple):
        try:
            document["expression"] = tensors(found.outputs, found.names, found.assumed, backward=arguments.backward)
        except GradientError as error:
            raise UsageError(f"{source!r}: {error}") from error
        document["expression"]["source"] = source
    else:
        document["expression"] = scalars(found.outputs, found.names, found.assumed)
