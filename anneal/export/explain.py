"""What is known of ops, rules, groups and stages, as the document of `anneal explain`.

Everything comes from the parsed `.upat` files, the table of ops and real runs; nothing is told a second time here.

>>> [c["rule"]["name"] for c in concerns(op_by_name("floor")) if c["role"] == "matches" and c["rule"]["group"] == "algebra"]
['floor_whole', 'floor_floor']
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from anneal import rules
from anneal.export.explain_samples import sample
from anneal.export.explain_trace import inputs_of, scalars, step, tensors
from anneal.export.schema.explain import Concern, Group, Meaning, Operation, Pass, Rule, Shown, Trace
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, op_by_name
from anneal.ir.uop import UOp
from anneal.rewrite.terms import ASSUMPTIONS, Branch, Handler, Leaf, Term
from anneal.rewrite.trace import Event
from anneal.rewrite.upat import Gradient, Statement
from anneal.tensor.tensor import Tensor
from anneal.view.expression import expression
from anneal.view.firing import Firing, firing
from anneal.view.instances import files, handlers

_ROLES: Final = ("matches", "inside", "builds")


@cache
def parsed() -> Mapping[str, Statement | Gradient]:
    """Every rule as it was parsed, by name."""
    found: list[Statement | Gradient] = [s for file in files() for s in file.rules]
    found += [s for file in files() for s in file.gradients]
    return {s.name: s for s in found}


def rule(name: str, fired: Mapping[str, int] | None = None) -> Rule:
    """A rule as it is written, and how often it fired where that was counted."""
    row, statement = rules.rule(name), parsed()[name]
    guard = statement.guard if isinstance(statement, Statement) else None
    roots = statement.pattern.ops if isinstance(statement, Statement) else (statement.op,)
    return {
        "group": row.group,
        "name": row.name,
        "doc": row.doc,
        "text": row.text,
        "file": f"anneal/rules/{row.file}",
        "line": row.line,
        "guard": None if guard is None else ast.unparse(guard),
        "matches": [op.name for op in roots],
        "assumes": [{"name": word, "doc": ASSUMPTIONS[word]} for word in row.assumes],
        "calls": [_meaning(word) for word in _called(statement)],
        "fired": None if fired is None else fired.get(name, 0),
    }


def _meaning(handler: str) -> Meaning:
    return {"name": handler, "doc": (inspect.getdoc(handlers()[handler]) or "").partition("\n")[0]}


def _called(statement: Statement | Gradient) -> list[str]:
    """The handlers that a rule calls, in its result or its guard."""
    results = (statement.result,) if isinstance(statement, Statement) else [r for r in statement.results if r is not None]
    called = [t.function for result in results for t in _terms(result) if isinstance(t, Handler)]
    guard = statement.guard if isinstance(statement, Statement) else None
    if guard is not None:
        called += [n.func.id for n in ast.walk(guard) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return [name for name in dict.fromkeys(called) if name in handlers()]


def _terms(term: Term) -> Iterator[Term]:
    """A term and all that is inside."""
    stack: list[Term] = [term]
    while stack:
        part = stack.pop()
        yield part
        if not isinstance(part, Leaf):
            stack.extend(part.args)


def concerns(op: Op, fired: Mapping[str, int] | None = None) -> list[Concern]:
    """The rules that an op takes part in, as the parsed rules tell; those that may replace it first."""
    found: dict[str, Concern] = {}
    for statement in parsed().values():
        if isinstance(statement, Statement) and (role := _role(statement, op)) is not None:
            found[statement.name] = {"rule": rule(statement.name, fired), "role": role}  # type: ignore[typeddict-item]
    return sorted(found.values(), key=lambda c: _ROLES.index(c["role"]))


def _role(statement: Statement, op: Op) -> str | None:
    if op in statement.pattern.ops:
        return "matches"
    if any(isinstance(t, Branch) and op in t.ops for t in _terms(statement.pattern)):
        return "inside"
    return "builds" if any(isinstance(t, Branch) and op in t.ops for t in _terms(statement.result)) else None


def operation(name: str, fired: Mapping[str, int] | None = None) -> Operation:
    """An op: its facts, the rules about it, its gradient, and what becomes of it."""
    op = op_by_name(name)
    gradient = rules.GRADIENT_NAMES.get(op)
    return {
        "name": op.name,
        "doc": op.doc,
        "category": op.category,
        "arity": op.arity,
        "symbol": op.symbol,
        "commutative": op.commutative,
        "compares": op.compares,
        "domain": op.domain,
        "concerns": concerns(op, fired),
        "gradient": None if gradient is None else rule(gradient, fired),
        "trace": _operation_trace(op),
        "seen": None,
        "method": None,
    }


def _operation_trace(op: Op) -> Trace | None:
    """The op on inputs through the compiler, with its gradient where it has one."""
    gradient = parsed().get(rules.GRADIENT_NAMES.get(op, ""))
    found = sample(op, [n for n in gradient.operands if n != "_"] if isinstance(gradient, Gradient) else [])
    if found is None:
        return None
    node, names = found
    has_gradient = isinstance(gradient, Gradient) and node.dtype.is_float and any(r is not None for r in gradient.results)
    return tensors([Tensor(node)], names, backward=has_gradient)


def shown(name: str, fired: Mapping[str, int] | None = None, seen: tuple[str, Event] | None = None) -> Shown:
    """A rule and a trace in which it fires: on an instance of its pattern, or where it was `seen`, with the name of that place."""
    statement = parsed()[name]
    document: Shown = {"rule": rule(name, fired), "place": "", "trace": None, "compiled": None}
    if isinstance(statement, Gradient):
        document["place"], document["trace"] = "the op on inputs, and its gradient", _operation_trace(statement.op)
    elif (found := firing(statement)) is not None:
        document["place"] = "an instance of its pattern, under this rule alone"
        document["trace"] = _alone(Event("alone", name, found.before, found.after), found.names)
        document["compiled"] = _compiled(statement, found)
    elif seen is not None:
        document["place"], document["trace"] = seen[0], _alone(seen[1], {})
    return document


def _alone(event: Event, names: Mapping[UOp, str]) -> Trace:
    """One step, and nothing else."""
    before, after = expression(event.before, names), expression(event.after, names)
    ensures = f"{event.rule} has fired once"
    made: Pass = {
        "stage": "alone",
        "ensures": ensures,
        "nodes": len(toposort(event.after)),
        "rewrites": 1,
        "milliseconds": None,
        "graph": [after],
        "steps": [],
    }
    made["steps"].append(step(event, before, after))
    return {"source": before, "inputs": inputs_of(names), "passes": [made], "result": [after], "kernels": []}


def _compiled(statement: Statement, found: Firing) -> Trace | None:
    """What all the rules make of an instance; None where it is what this rule makes of it."""
    if statement.group in rules.SIMPLIFY:
        trace = scalars(found.before, found.names)
        steps = trace["passes"][0]["steps"]
    else:
        trace = tensors([Tensor(found.before)], found.names)
        trace["passes"] = [p for p in trace["passes"] if p["stage"] == "simplified"]
        trace["kernels"], trace["result"] = [], trace["passes"][0]["graph"]
        steps = trace["passes"][0]["steps"]
    return None if [s["rule"] for s in steps] == [statement.name] else trace


def group(name: str, fired: Mapping[str, int] | None = None) -> Group:
    """A group and its rules."""
    return {"name": name, "title": rules.TITLES[name], "rules": [rule(r.name, fired) for r in rules.RULES if r.group == name]}
