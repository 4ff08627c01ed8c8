r"""Opening a program: its text is run, and the tensors of one part of it are built; nothing is compiled.

>>> import asyncio
>>> state = State()
>>> answer = asyncio.run(open_program(state, {"source": "from anneal import Tensor\nTensor([1.0, 2.0]) * 2"}))
>>> answer["value"], answer["parts"], [o["shape"] for o in answer["outputs"]]
('a tensor float32(2)', ['forward'], [[2]])
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

from anneal.errors import UsageError, number_of
from anneal.examples import program as programs
from anneal.examples.example import Example
from anneal.examples.model import Model, checked
from anneal.export.schema.graph import Part
from anneal.ir.uop import ARENA
from anneal.nn.modules import OPTIMIZER
from anneal.tensor import realize
from anneal.tensor.tensor import Tensor
from anneal.viz import failures, messages
from anneal.viz.messages import Failure, Params, Value
from anneal.viz.program import NOTHING, Beside, Ran, remember, run, watched
from anneal.viz.rows import FILE, dim, dims
from anneal.viz.state import Opened, State

PARTS: Final[tuple[str, ...]] = get_args(Part)
_NEEDS: Final = "A training step needs an anneal.examples.Example, gradients a loss of one element."
_BY_ITSELF: Final = "The program ends without a value, so this is the last computation that it ran by itself. End it with a tensor to see that one."
_LISTED: Final = 4


class ProgramError(Exception):
    """A program of the user's has failed: what the page is told of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure["message"])
        self.failure = failure


async def open_program(state: State, params: Params) -> messages.Opened:
    """Run a text and build its tensors. Raises ProgramError for what goes wrong in it; the program that was open before is then open still."""
    began = time.perf_counter()
    source, name = messages.text(params, "source"), messages.text(params, "name", "program")
    asked = params.get("part")
    if asked is not None and asked not in PARTS:
        raise UsageError(f"no part {asked!r} of a program: there are {', '.join(PARTS)}")
    files = _files(params.get("files") or {})
    ran = Ran(source, Beside(files))
    try:
        with watched(ran):
            await run(ran)
            shown = _shown(ran, asked)
    except BaseException as error:  # noqa: BLE001 - whatever the program does is told, and ends nothing
        raise _failed(state, ran, failures.failure(error, ran, ran.line)) from None
    if shown is None:
        raise _failed(state, ran, failures.no_value(ran))
    ran.account.settle()
    _close(state)
    state.program = opened = _opened(ran, name, shown)
    opened.closing.append(ran.close)
    return {
        "name": opened.name,
        "part": opened.part,
        "parts": list(shown.parts),
        "printed": ran.printed.text(),
        "value": shown.value,
        "note": shown.note,
        "outputs": [Value(name=n, dtype=u.dtype.name, shape=dims(u)) for n, u in zip(opened.output_names, opened.traced.sink.src, strict=True)],
        "inputs": [Value(name=n, dtype=b.dtype.name, shape=list(b.shape)) for n, b in zip(opened.known.inputs, opened.traced.buffers, strict=True)],
        "seconds": time.perf_counter() - began,
    }


def _files(files: object) -> dict[str, str]:
    """The modules beside the program; raises UsageError for what is none."""
    if not isinstance(files, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in files.items()):
        raise UsageError("files is to be an object of texts by path")
    return dict(files)


def _failed(state: State, ran: Ran, failure: Failure) -> ProgramError:
    """The error for a program that is given up; lines are those of the open one again."""
    ran.account.undo()
    ran.close()
    if state.program is not None:
        remember(FILE, state.program.source)
    return ProgramError(failure)


def _close(state: State) -> None:
    """Let go of the program that is open, and of all its nodes."""
    if state.program is not None:
        state.program.close()
        state.program = None
        ARENA.settle()
        gc.collect()  # a program's functions and classes are cycles
        while ARENA.settle():  # and what hung from them may be in cycles, too
            gc.collect()


class _Shown(NamedTuple):
    """What there is to show of a program."""

    model: Model | None
    """None for a program without a value."""
    part: Part
    parts: tuple[Part, ...]
    tensors: list[Tensor]
    names: dict[str, Tensor]
    value: str
    note: str | None


def _shown(ran: Ran, asked: Part | None) -> _Shown | None:
    """What there is to show of a program that has run; None where there is nothing."""
    if ran.value is NOTHING or ran.value is None:
        if ran.last is None:
            return None
        value = f"the last computation that ran, of {number_of(len(ran.last.outputs), 'output')}"
        return _Shown(None, "forward", ("forward",), [], {}, value, _BY_ITSELF)
    model = checked("the program", None, ran.value, verb="ends in", ask="its last expression is to be")
    part = model.parts[0] if asked is None or asked not in model.parts else asked
    note = None if asked in (None, part) else f"There is no part “{asked}” of it. {_NEEDS}"
    tensors, names = model.outputs(part, None)
    realize.trace([t.uop for t in tensors])  # what is wrong with them is told while the program before is still there
    return _Shown(model, part, model.parts, tensors, names, _words(model), note)


def _opened(ran: Ran, name: str, shown: _Shown) -> Opened:
    """A program with the graph that the compiler is given."""
    with ARENA.account(ran.account):
        traced = ran.last if shown.model is None and ran.last is not None else realize.trace([t.uop for t in shown.tensors])
    known = programs.known(traced, {**_variables(ran), **shown.names}, ran.seen)
    return Opened(name, ran.source, shown.part, shown.model, shown.tensors, traced, known, ran.built, ran.account)


def _variables(ran: Ran) -> dict[str, Tensor]:
    """The program's tensors by variable, and the gradients that they and the tensors of its modules have."""
    own = {name: value for name, value in vars(ran.module).items() if isinstance(value, Tensor) and not name.startswith("_")}
    parameters = {name: value for name, value in ran.seen.tensors().items() if not name.startswith(f"{OPTIMIZER}.")}
    gradients = {f"{name}.grad": tensor.grad for name, tensor in {**own, **parameters}.items() if tensor.grad is not None}
    return {**gradients, **own}


def _words(model: Model) -> str:
    """What is shown, in words."""
    if isinstance(model.value, Example):
        return f"{model.value.name}: {model.value.doc}"
    if len(model.value) == 1:
        return f"a tensor {_typed(model.value[0])}"
    more = ", …" if len(model.value) > _LISTED else ""
    return f"{number_of(len(model.value), 'tensor')}: {', '.join(map(_typed, model.value[:_LISTED]))}{more}"


def _typed(tensor: Tensor) -> str:
    sizes = ", ".join(str(dim(d)) for d in tensor.shape)
    return f"{tensor.dtype.name}({sizes})" if sizes else tensor.dtype.name
