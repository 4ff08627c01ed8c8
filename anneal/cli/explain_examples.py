"""The examples compiled under watch: which rules fired how often, and what each stage did.

>>> watched = compiled(EXAMPLES["mlp"])
>>> watched.groups["backward"], "order" in watched.groups["simplified"]
(['gradient'], True)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from anneal import rules
from anneal.cli.output import note
from anneal.codegen.target import Target
from anneal.examples import EXAMPLES
from anneal.examples.example import Example
from anneal.examples.program import Program, trace
from anneal.export.explain_trace import BACKWARD
from anneal.export.schema.explain import GroupUse, Meaning, Stage
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.text import print_program
from anneal.ir.uop import UOp
from anneal.rewrite import session
from anneal.rewrite.engine import Fix, Result
from anneal.rewrite.table import Table
from anneal.rewrite.trace import Event, Trace
from anneal.tensor.realize import compile_program
from anneal.view.expression import expression

MODEL: Final = "mlp"
"""The example that a stage is shown on."""
_BACKWARD: Final = "backward"


class Watched(Trace):
    """A trace that also notes which groups of rules ran in which stage."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, list[str]] = {_BACKWARD: ["gradient"]}
        """Groups by stage, in the order in which they were first tried."""

    def rewrite(self, stage: str, roots: Iterable[UOp], table: Table, *, budget: int | None = None, fix: Fix | None = None) -> Result:
        """Rewrite as `Trace` does."""
        known = self.groups.setdefault(stage, [])
        known += [name for name in _groups(table) if name not in known]
        return super().rewrite(stage, roots, table, budget=budget, fix=fix)


def _groups(table: Table) -> list[str]:
    """The groups whose match functions a table holds."""
    there = {id(f) for functions in table.functions.values() for f in functions}
    return [name for name, functions in rules.GROUPS.items() if functions and all(id(f) in there for f in functions.values())]


@cache
def compiled(example: Example) -> Watched:
    """What happened when the training step of an example was built and compiled for any WebGPU device."""
    watched = Watched()
    with session.watching(watched):
        traced, _ = trace(Program(example).outputs("step"))
        compile_program(traced, Target.portable())
    return watched


@dataclass(frozen=True, slots=True)
class Firings:
    """What rules did over all the examples."""

    times: dict[str, int]
    """How often each fired."""
    first: dict[str, tuple[str, Event]]
    """Where each fired first: the example, and the event."""


def firings() -> Firings:
    """Compile the training steps of all examples, and count."""
    times: dict[str, int] = {}
    first: dict[str, tuple[str, Event]] = {}
    for name, example in EXAMPLES.items():
        note(f"compiling the training step of {name} with a trace")
        for event in compiled(example).events:
            times[event.rule] = times.get(event.rule, 0) + 1
            first.setdefault(event.rule, (f"the training step of {name}", event))
    return Firings(times, first)


def seen(op: Op) -> Meaning | None:
    """The first place in the kernels or instructions of an example where an op stands; None where it is in none."""
    for name, example in EXAMPLES.items():
        for shot in compiled(example).snapshots:
            for graph in shot.graphs if shot.stage in ("kernels", "lowered") else ():
                if found := _place(graph, op, lowered=shot.stage == "lowered"):
                    return {"name": f"the training step of {name}, stage {shot.stage}", "doc": found}
    return None


def _place(graph: Sequence[UOp], op: Op, *, lowered: bool) -> str | None:
    """The line of an instruction, or the expression with the op in it: of a leaf, that of its first reader."""
    nodes = toposort(*graph)
    if not any(u.op is op for u in nodes):
        return None
    if lowered:
        return next(line.strip() for line in print_program(graph).splitlines() if f" = {op.name}:" in line)
    short = op.category == "leaf" or op is Ops.RANGE
    return expression(next(u for u in nodes if (op in [s.op for s in u.src] and u.op is not Ops.RANGE if short else u.op is op)))


def stage(name: str) -> Stage:
    """What a stage guarantees, and what it did to an example's training step."""
    if name == _BACKWARD:
        return _backward()
    watched = compiled(EXAMPLES[MODEL])
    shots = {s.stage: s for s in watched.snapshots}
    sizes = {s.stage: len(toposort(*(root for graph in s.graphs for root in graph))) or None for s in watched.snapshots}
    order = list(shots)
    at = order.index(name)
    fired = watched.fired(name)
    return {
        "name": name,
        "ensures": shots[name].ensures,
        "groups": _uses(watched.groups.get(name, []), fired),
        "model": f"the training step of {MODEL}",
        "nodes_before": sizes[order[at - 1]] if at else None,
        "nodes_after": sizes[name],
        "rewrites": sum(fired.values()),
        "milliseconds": shots[name].milliseconds if at else None,
        "fired": fired,
    }


def _backward() -> Stage:
    """Differentiation is no stage of a compilation: it is done when the program is written."""
    watched = Watched()
    with session.watching(watched):
        outputs = [t.uop for t in Program(EXAMPLES[MODEL]).outputs("backward")]
    fired = watched.fired(_BACKWARD)
    return {
        "name": _BACKWARD,
        "ensures": BACKWARD,
        "groups": _uses(watched.groups[_BACKWARD], fired),
        "model": f"the loss of {MODEL} and its gradients",
        "nodes_before": len(toposort(outputs[0])),
        "nodes_after": len(toposort(*outputs)),
        "rewrites": sum(fired.values()),
        "milliseconds": None,
        "fired": fired,
    }


def _uses(groups: Iterable[str], fired: Mapping[str, int]) -> list[GroupUse]:
    named = {g: [r.name for r in rules.RULES if r.group == g] for g in groups}
    return [{"name": g, "title": rules.TITLES[g], "rules": len(names), "fired": sum(fired.get(n, 0) for n in names)} for g, names in named.items()]
