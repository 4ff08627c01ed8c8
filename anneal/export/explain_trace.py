"""Traces for a reader: an expression on its way through the compiler, as the document of `anneal explain`.

The traces are those of the real passes: scalars go through the rules for scalar expressions, tensors through every stage up to WGSL.

>>> from anneal.ir.build import variable
>>> x = variable("x", 0, 99)
>>> [(step["rule"], step["after"]) for step in scalars((x * 4 + 3) // 4, {x: "x"})["passes"][0]["steps"]]
[('div_parts', 'x')]
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from anneal import rules
from anneal.autodiff import backward as differentiation
from anneal.autodiff.backward import PASS_RULES, gradients
from anneal.codegen.target import Target
from anneal.export.schema.explain import Input, Kernel, Pass, Step, Trace
from anneal.ir import build
from anneal.ir.dtype import dtypes
from anneal.ir.graph import substitute, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.text import print_program
from anneal.ir.uop import UOp
from anneal.rewrite import session
from anneal.rewrite.trace import Event, Move, Snapshot
from anneal.rewrite.trace import Trace as Watched
from anneal.runtime.pipeline import compile_graph
from anneal.tensor.tensor import Tensor
from anneal.view.expression import CUT, Writer, expression, statements

_LINE: Final = 30
_WHOLE: Final = 60
BACKWARD: Final = (differentiation.__doc__ or "").partition("\n")[0]
"""What differentiation says of itself."""


def inputs_of(names: Mapping[UOp, str], assumed: Collection[str] = ()) -> list[Input]:
    """What the named inputs are."""
    found: list[Input] = []
    for node, name in names.items():
        low, high = node.arg[1:] if node.op is Ops.VARIABLE else (None, None)
        dims = [n for n in shape(node) if isinstance(n, int)]
        found.append({"name": name, "dtype": node.dtype.name, "shape": dims, "low": low, "high": high, "assumed": name in assumed})
    return found


def step(event: Event, before: str, after: str, whole: str | None = None) -> Step:
    """A step, with what is known of its rule."""
    rule = next((r for r in rules.RULES if r.name == event.rule), None)
    doc = PASS_RULES.get(event.rule, "") if rule is None else rule.doc
    group, text = ("", "") if rule is None else (rule.group, rule.text)
    return {"rule": event.rule, "group": group, "text": text, "doc": doc, "before": before, "after": after, "whole": whole, "times": 1}


def scalars(root: UOp, names: Mapping[UOp, str], assumed: Collection[str] = (), groups: Sequence[str] = rules.SIMPLIFY) -> Trace:
    """A scalar expression under the rules that simplify what kernels compute, and index arithmetic first of all."""
    watched, started = Watched(), time.perf_counter()
    (final,) = watched.rewrite("simplified", (root,), rules.table(*groups)).roots
    took = (time.perf_counter() - started) * 1e3
    steps, whole, short = [], root, len(toposort(root)) <= _WHOLE
    for event in watched.events:
        whole = substitute(whole, {event.before: event.after}) if short else whole
        after, text = expression(event.after, names), expression(whole, names, _WHOLE) if short else CUT
        shown = None if text == after or CUT in text else text
        steps.append(step(event, expression(event.before, names), after, shown))
    result = statements((final,), names)
    made = _pass("simplified", f"no rule of the groups {', '.join(groups)} matches", (final,), len(watched.events), took, result, steps)
    return {"source": expression(root, names, _WHOLE), "inputs": inputs_of(names, assumed), "passes": [made], "result": result, "kernels": []}


def tensors(outputs: Sequence[Tensor], names: Mapping[UOp, str], assumed: Collection[str] = (), *, backward: bool = False) -> Trace:
    """Tensors over PARAM nodes through every stage, compiled for any WebGPU device, or any with float16 where that is used.

    With `backward` the first one's gradients too: where it has more than one element, the input `g` is the gradient of the result.
    """
    roots = [t.uop for t in outputs]
    labels = [""] * len(roots)
    names = dict(names)
    with session.watching() as watched:
        if backward:
            for node, gradient in _gradients(roots[0], names).items():
                roots.append(gradient)
                labels.append(f"gradient of {names[node]}")
        halves = any(u.dtype is dtypes.float16 for u in toposort(*roots))
        plan = compile_graph(build.sink(*roots), replace(Target.portable(), float16=halves))
    made = _passes(watched, roots, labels, names, len(outputs) if backward else None)
    bodies = [_body(sink, names, watched.snapshots) for (sink,) in next(s.graphs for s in watched.snapshots if s.stage == "kernels")]
    kernels: list[Kernel] = [
        {
            "name": k.name,
            "phases": list(k.phases),
            "body": body,
            "workgroups": list(k.workgroups),
            "workgroup_size": list(k.workgroup_size),
            "boundaries": [{"value": b.value, "scope": b.scope, "reason": b.reason} for b in k.boundaries],
            "wgsl": k.wgsl,
        }
        for k, body in zip(plan.kernels, bodies, strict=True)
    ]
    result = [line for body in bodies for line in body]
    return {"source": expression(roots[0], names, _WHOLE), "inputs": inputs_of(names, assumed), "passes": made, "result": result, "kernels": kernels}


def _gradients(output: UOp, names: dict[UOp, str]) -> dict[UOp, UOp]:
    """The gradient for each input that has one; `g` joins the names where the result has several elements."""
    seed = None
    if shape(output):
        slot = 1 + max((u.arg[0] for u in names if u.op is Ops.PARAM), default=-1)
        seed = build.param(slot, shape(output), output.dtype)
    inputs = [u for u in names if u.dtype.is_float]
    found = {u: g for u, g in zip(inputs, gradients(output, inputs, seed), strict=True) if g is not None}
    if seed is not None:
        names[seed] = "g" if "g" not in names.values() else "gradient"
    return found


def _pass(stage: str, ensures: str, roots: Sequence[UOp], rewrites: int, took: float | None, graph: list[str], steps: list[Step]) -> Pass:
    nodes = len(toposort(*roots))
    return {"stage": stage, "ensures": ensures, "nodes": nodes, "rewrites": rewrites, "milliseconds": took, "graph": graph, "steps": steps}


def _passes(watched: Watched, roots: Sequence[UOp], labels: Sequence[str], names: Mapping[UOp, str], forward: int | None) -> list[Pass]:
    """The program as it was written, its first `forward` results differentiated if any, and what each stage made of it."""
    writer, first = Writer(names, _LINE), watched.snapshots[0]
    written = roots[:forward]
    made = [_pass(first.stage, first.ensures, written, 0, None, writer.listing(written), [])]
    if forward is not None:
        steps = _steps([e for e in watched.events if e.stage == "backward"], writer)
        made.append(_pass("backward", BACKWARD, roots, len(steps), None, _labelled(roots[forward:], labels[forward:], writer), steps))
    of_tensors = True
    for snapshot in watched.snapshots[1:]:
        events = [e for e in watched.events if e.stage == snapshot.stage]
        of_tensors = of_tensors and snapshot.stage != "kernels"
        if of_tensors:
            _follow(watched.moves, snapshot.stage, writer)
            steps, writer, roots = _steps(events, writer), Writer(names, _LINE), snapshot.graphs[0][0].src
            graph = _labelled(roots, labels, writer)
        else:
            steps = _unnumbered(events, names if snapshot.stage == "kernels" else {})
            roots = [root for each in snapshot.graphs for root in each]
            graph = [line for each in snapshot.graphs for line in print_program(each).splitlines()] if snapshot.stage == "lowered" else []
        made.append(_pass(snapshot.stage, snapshot.ensures, roots, snapshot.rewrites, snapshot.milliseconds, graph, steps))
    return made


def _follow(moves: Iterable[Move], stage: str, writer: Writer) -> None:
    """A part that only got new operands in a stage is called as before, with a prime."""
    for move in moves:
        name = writer.names.get(move.before, "")
        if move.stage == stage and name.startswith("%") and move.after not in writer.names:
            writer.names[move.after] = f"{name}'"


def _steps(events: Iterable[Event], writer: Writer) -> list[Step]:
    """Steps on a graph whose parts have numbers: what is new gets one too."""
    made: dict[Event, Step] = {}
    for event in events:
        if event in made:
            made[event]["times"] += 1
        else:
            before = writer.spelled(event.before)
            made[event] = step(event, before, writer.define(event.after))
    return list(made.values())


def _unnumbered(events: Iterable[Event], names: Mapping[UOp, str]) -> list[Step]:
    """Steps on scalar expressions, each written out."""
    made: dict[Event, Step] = {}
    for event in events:
        if event in made:
            made[event]["times"] += 1
        else:
            made[event] = step(event, expression(event.before, names, _LINE), expression(event.after, names, _LINE))
    return list(made.values())


def _labelled(roots: Sequence[UOp], labels: Sequence[str], writer: Writer) -> list[str]:
    """A listing whose last lines, one a root, say what each is."""
    lines = writer.listing(roots)
    ends = [f"{label} = {line}" if label else line for label, line in zip(labels, lines[-len(roots) :], strict=True)]
    return lines[: -len(roots)] + ends


def _body(sink: UOp, names: Mapping[UOp, str], snapshots: Sequence[Snapshot]) -> list[str]:
    """What a kernel stores, its memory called by the inputs' names, `out` where no kernel reads it and `stored` where one does."""
    every = [root for s in snapshots if s.stage == "kernels" for graph in s.graphs for root in graph]
    nodes = toposort(*every)
    read = {u.src[0] for u in nodes if u.op is Ops.LOAD}
    called = dict(names)
    count = {"out": 0, "stored": 0}
    for memory in dict.fromkeys(u.src[0] for u in nodes if u.op in (Ops.STORE, Ops.LOAD)):
        if memory not in called:
            kind = "stored" if memory in read else "out"
            called[memory] = f"{kind}{count[kind] or ''}"
            count[kind] += 1
    return statements(sink.src, called)
