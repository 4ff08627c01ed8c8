"""`anneal train`: one plan for forward, backward and update, run with each batch.

In a terminal a dashboard shows the progress; elsewhere, and with `--plain` or `--json`, lines on stderr do. The result goes to stdout.
Ctrl-C ends the training after the step it is at: the checkpoint is written if one was asked for, the result so far is printed and says
`interrupted`, and the exit code is 0, for that is what was asked; a second Ctrl-C stops at once.

>>> EXAMPLE
'anneal train mlp --steps 300 --save mlp.safetensors'
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from anneal.cli import dashboard
from anneal.cli import options as shared
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, columns, duration, emit, note, wrapped
from anneal.errors import AnnealError, CheckpointError, UsageError
from anneal.examples import checkpoint, log
from anneal.examples.checkpoint import Progress
from anneal.examples.example import OPTIMIZERS, Example, optimizer_name
from anneal.examples.monitor import Monitor, Time
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, facts, follow, interruptible
from anneal.export.schema.train import VERSION, Training
from anneal.runtime.device import get_device

if TYPE_CHECKING:
    from anneal.cli.viz_program import Request
    from anneal.cli.viz_server import Server

EXAMPLE: Final = "anneal train mlp --steps 300 --save mlp.safetensors"
_COPIED: Final = ("plan", "saved", "log")
"""Lines of the report that are never broken: a reader copies them."""
_MANY: Final = 40
"""With this many kernels the first step takes so long that a reader wonders."""


def options(parser: shared.Parser) -> None:
    """Add what the verb takes. What is left out is as the model has it, or the checkpoint."""
    shared.add_model(parser)
    parser.add_argument("--steps", type=shared.count, metavar="N", help="train up to step N, counted from the start")
    parser.add_argument("--batch", type=shared.count, metavar="N", help="rows a step")
    parser.add_argument("--lr", type=shared.rate, metavar="X", help="learning rate")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), metavar="NAME", help=f"{', '.join(OPTIMIZERS)}; sgd has a momentum of 0.9")
    parser.add_argument("--seed", type=shared.seed, metavar="N", help="seed of parameters and batches")
    shared.add_device(parser, "where to train")
    parser.add_argument("--save", metavar="FILE", help="write a checkpoint at the end, also after Ctrl-C")
    parser.add_argument("--resume", metavar="FILE", help="go on from a checkpoint, with its options")
    parser.add_argument("--log", metavar="FILE", help="write every step there, for anneal plot")


def run(arguments: Namespace) -> int:
    """Train; returns the exit code."""
    model = load(arguments.model)
    example = model.example("train")
    _check_files(arguments.save, arguments.log)
    with user_code(model.file):
        program, progress = _program(example, arguments)
        device = get_device(arguments.device)
        trainer = Trainer(program, device, progress.step)
    monitor = Monitor(facts(trainer, progress.optimizer), example.steps if arguments.steps is None else arguments.steps)
    if arguments.log is not None:
        monitor.observers.append(log.Log(arguments.log, monitor.facts, monitor.steps, note))
    served = None
    if arguments.json or arguments.plain or not dashboard.fits():
        _lines(trainer, monitor)
    else:
        served = dashboard.run(trainer, monitor, lambda: _request(arguments, example, progress))
    failure = _save(arguments.save, trainer, progress)
    result = _result(monitor, saved=None if failure else arguments.save, log=arguments.log)
    emit(result) if arguments.json else print(_report(result, Style(sys.stdout, plain=arguments.plain), program.held))
    if served is not None:
        _hold(served)
    if failure:
        raise AnnealError(f"the training is done but not saved: {failure}")
    return 0


def _request(arguments: Namespace, example: Example, progress: Progress) -> Request:
    """What the visualizer is to show: the step that is trained."""
    from anneal.cli.viz_program import Request

    changed = progress.optimizer != optimizer_name(example, None)
    lr = OPTIMIZERS[progress.optimizer].lr if changed and arguments.lr is None else arguments.lr
    batch = None if progress.batch == example.batch else progress.batch
    return Request.of(arguments.model, "step", batch=batch, optimizer=progress.optimizer if changed else None, lr=lr)


def _hold(served: Server) -> None:
    """Serve the visualizer that was opened, until it is ended."""
    from anneal.cli import viz

    viz.hold(served, lambda: note(f"anneal: the visualizer is at {viz.page(served)} until Ctrl-C"))


def _check_files(save: str | None, written: str | None) -> None:
    """Raise CheckpointError or UsageError, before any work, where the checkpoint or the log cannot be written."""
    if save is not None:
        checkpoint.check_writable(save)
    if written is not None:
        log.check_writable(written)
    if save is not None and written is not None and os.path.realpath(save) == os.path.realpath(written):
        raise UsageError(f"--save and --log name the same file, {save}: give each one of its own")


def _program(example: Example, arguments: Namespace) -> tuple[Program, Progress]:
    """The program to train, and where it starts."""
    given, steps = arguments, example.steps if arguments.steps is None else arguments.steps
    if given.resume is None:
        program = Program(example, batch=given.batch, seed=given.seed or 0, optimizer=given.optimizer, lr=given.lr)
        return program, Progress(example.name, 0, program.seed, program.batch, optimizer_name(example, given.optimizer))
    found = checkpoint.read_progress(given.resume, example.name, given.optimizer)
    if found.step >= steps:
        raise UsageError(f"{given.resume} is at step {found.step} already: --steps counts from the start, so ask for more")
    name = None if found.optimizer == "own" else found.optimizer
    seed = found.seed if given.seed is None else given.seed
    program = Program(example, batch=given.batch or found.batch, seed=seed, optimizer=name, lr=given.lr)
    rate = program.optimizer.lr
    checkpoint.load(given.resume, program)
    if given.lr is not None:
        rate.write([given.lr])
    return program, Progress(found.model, found.step, seed, program.batch, found.optimizer)


def _lines(trainer: Trainer, monitor: Monitor) -> None:
    """Train, with a line for each window, and one before the first step where that step takes long."""
    known = monitor.facts
    if known.kernels >= _MANY:
        took = duration(known.compile_seconds, plain=True)
        note(f"{known.uops} UOps compiled into {known.kernels} kernels in {took}; the first step takes longer, as the device gets them ready")
    monitor.observers.append(lambda _: note(monitor.line()))
    with interruptible(monitor):
        follow(trainer, monitor)


def _save(path: str | None, trainer: Trainer, start: Progress) -> CheckpointError | None:
    """Write the checkpoint, if one was asked for; returns what prevented it."""
    if path is None:
        return None
    try:
        checkpoint.save(path, trainer.program, Progress(start.model, trainer.done, start.seed, start.batch, start.optimizer))
    except CheckpointError as error:
        return error
    return None


def _result(monitor: Monitor, *, saved: str | None, log: str | None) -> Training:
    facts, records = monitor.facts, monitor.records
    return {
        "schema": "anneal.train",
        "version": VERSION,
        "model": facts.model,
        "device": facts.device,
        "backend": facts.backend,
        "steps": monitor.done,
        "resumed_from": facts.start,
        "batch": facts.batch,
        "optimizer": facts.optimizer,
        "seed": facts.seed,
        "parameters": facts.parameters,
        "loss_first": records[0].loss,
        "loss_last": records[-1].loss,
        "accuracy": monitor.accuracies[-1][1],
        "accuracies": [[step, accuracy] for step, accuracy in monitor.accuracies],
        "step_ms_median": _milliseconds(monitor, "seconds") or 0.0,
        "host_ms_median": _milliseconds(monitor, "host_seconds") or 0.0,
        "device_ms_median": _milliseconds(monitor, "device_seconds"),
        "samples_per_second": monitor.samples_per_second or 0.0,
        "first_step_ms": records[0].seconds * 1e3,
        "compile_ms": facts.compile_seconds * 1e3,
        "uops": facts.uops,
        "kernels": facts.kernels,
        "kernels_fused": facts.fused,
        "phases": facts.phases,
        "bytes": facts.bytes,
        "fingerprint": facts.fingerprint,
        "interrupted": monitor.interrupted,
        "saved": saved,
        "log": log,
    }


def _milliseconds(monitor: Monitor, what: Time) -> float | None:
    """The median of a time over all steps but those of the first window, which waits for the driver's compiler."""
    seconds = monitor.median(what, recent=None)
    return None if seconds is None else seconds * 1e3


def _report(result: Training, style: Style, held: int) -> str:
    """The result for a reader."""
    steps = f"{result['steps']} steps of {result['batch']}" + (f", the first {result['resumed_from']} before" if result["resumed_from"] else "")
    count = result["kernels_fused"]
    fused = style.paint(f"{count} of them fuse{'s' * (count == 1)} forward, backward or update", "fused")
    ended = ", interrupted" if result["interrupted"] else ""

    def time(milliseconds: float) -> str:
        return duration(milliseconds / 1e3, plain=style.plain)

    clocked = "" if result["device_ms_median"] is None else f", kernels {time(result['device_ms_median'])}"
    lines = {
        "model": f"{result['model']} on {result['device']}: {result['backend']}",
        "accuracy": style.bold(f"{result['accuracy']:.4f}") + f" on {held} held-out rows",
        "loss": f"{result['loss_first']:.4f} to {result['loss_last']:.4f} in {steps}, {result['optimizer']}{ended}",
        "step": f"{time(result['step_ms_median'])}, median (host {time(result['host_ms_median'])}{clocked}); the first {time(result['first_step_ms'])}",
        "compile": f"{time(result['compile_ms'])} for {result['uops']} UOps into {result['kernels']} kernels, {fused}",
        "plan": result["fingerprint"],
        "saved": result["saved"],
        "log": result["log"],
    }
    width = (columns() or sys.maxsize) - 10
    made = {name: [text] if name in _COPIED else wrapped(text, width) for name, text in lines.items() if text is not None}
    return "\n".join(f"{style.dim(f'{name:<9}')} " + f"\n{' ' * 10}".join(part.lstrip() for part in parts) for name, parts in made.items())
