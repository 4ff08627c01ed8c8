"""`anneal run`: the outputs of a model, on held-out rows for an example, of the tensors that a function returns, or what MiniLM makes of texts.

>>> EXAMPLE
'anneal run mlp --load mlp.safetensors --batch 20'
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from anneal.cli import options as shared
from anneal.cli import run_texts
from anneal.cli.model import load, user_code
from anneal.cli.output import emit, show
from anneal.errors import UsageError
from anneal.examples import checkpoint, minilm_files
from anneal.examples.example import Example
from anneal.examples.model import Model
from anneal.examples.program import Program, trace
from anneal.export.schema.run import VERSION, Judged, Output
from anneal.runtime.device import Device, get_device
from anneal.tensor import host, realize
from anneal.tensor.realize import Executable
from anneal.tensor.tensor import Tensor

EXAMPLE: Final = "anneal run mlp --load mlp.safetensors --batch 20"
_ROWS: Final = 10
_MATRIX: Final = 2


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser, names="mlp, conv, minilm")
    parser.add_argument("--batch", type=shared.count, metavar="N", help=f"held-out rows to run on (default: {_ROWS} at most)")
    parser.add_argument("--load", metavar="FILE", help="parameters from a checkpoint of anneal train")
    parser.add_argument("--seed", type=shared.seed, metavar="N", help="seed of fresh parameters, without --load (default: 0)")
    run_texts.options(parser)
    shared.add_device(parser, "where to run (default: webgpu, if there)")


def run(arguments: Namespace) -> int:
    """Compute and print; returns the exit code."""
    if arguments.model == minilm_files.NAME:
        return run_texts.run(arguments)
    run_texts.refuse(arguments)
    model = load(arguments.model, (minilm_files.NAME,))
    with user_code(model.file):
        result, lines = _example(model, model.value, arguments) if isinstance(model.value, Example) else _tensors(model, model.value, arguments)
    emit(result) if arguments.json else print("\n".join(lines))
    return 0


def _tensors(model: Model, tensors: Sequence[Tensor], arguments: Namespace) -> tuple[Judged, list[str]]:
    """The values of tensors, as a document and as text."""
    if arguments.load or arguments.batch:
        raise UsageError(f"{model.name} returned tensors, which are run as they are: leave {'--load' if arguments.load else '--batch'} out")
    device = get_device(arguments.device or next((t.device for t in tensors if t.device), None))
    outputs = _values(tensors, device)
    return _document(model, device, outputs), [f"{o['dtype']}({', '.join(map(str, o['shape']))}) {show(o['values'])}" for o in outputs]


def _example(model: Model, example: Example, arguments: Namespace) -> tuple[Judged, list[str]]:
    """What a model makes of held-out rows, as a document and as text."""
    if arguments.load:
        checkpoint.read_progress(arguments.load, example.name)
    program = Program(example, seed=arguments.seed or 0)
    if arguments.load:
        checkpoint.load(arguments.load, program, only_model=True)
    rows = min(_ROWS, program.held) if arguments.batch is None else arguments.batch
    if rows > program.held:
        raise UsageError(f"{example.name} has {program.held} held-out rows, so --batch may be 1 to {program.held}")
    labels = program.data.held_labels[:rows]
    outputs = program.model(program.data.held_inputs[:rows])
    device = get_device(arguments.device)
    classes = outputs.ndim == _MATRIX and labels.ndim == 1 and labels.dtype.is_int
    wanted = [outputs, labels, example.score(outputs, labels), *([outputs.argmax(-1)] if classes else [])]
    values = _values(wanted, device)
    document = _document(model, device, values[:1])
    document["labels"], document["accuracy"] = values[1]["values"], values[2]["values"]
    if classes:
        document["predictions"] = values[3]["values"]
        pairs = zip(values[1]["values"], values[3]["values"], strict=True)
        lines = ["label  predicted", *(f"{label:>5}  {guess:>9}{'' if label == guess else '  wrong'}" for label, guess in pairs)]
    else:
        lines = [show(values[0]["values"])]
    scored = f"accuracy {document['accuracy']:.4f} on {rows} held-out rows"
    if arguments.load:
        return document, [*lines, scored]
    hint = f"anneal train {arguments.model} --save FILE trains them; --load FILE takes them"
    return document, [*lines, f"{scored}, with parameters that are not trained", hint]


def _document(model: Model, device: Device, outputs: list[Output]) -> Judged:
    return {"schema": "anneal.run", "version": VERSION, "model": model.name, "device": device.name, "backend": device.description, "outputs": outputs}


def _values(tensors: Sequence[Tensor], device: Device) -> list[Output]:
    """The values of tensors, computed in one plan."""
    traced, _ = trace(tensors)
    ready = Executable(traced, device)
    ready.run()
    found: list[Output] = []
    for number, tensor in enumerate(tensors):
        shape = realize.sizes(tensor.uop)
        flat = host.decode(ready.read(number), tensor.dtype, tensor.numel())
        found.append({"dtype": tensor.dtype.name, "shape": list(shape), "values": host.nest(flat, shape)})
    return found
