"""`anneal train`: one plan for forward, backward and update, run with each batch.

Progress goes to stderr, the result to stdout. Ctrl-C ends the training after the step it is at: the checkpoint is written if one was asked
for, the result so far is printed and says `interrupted`, and the exit code is 0, for that is what was asked; a second Ctrl-C stops at once.

>>> EXAMPLE
'anneal train mlp --steps 300 --save mlp.safetensors'
"""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from anneal.cli import options as shared
from anneal.cli.model import load, user_code
from anneal.cli.output import Style, emit, note
from anneal.errors import AnnealError, CheckpointError, UsageError
from anneal.examples import checkpoint
from anneal.examples.checkpoint import Progress
from anneal.examples.example import OPTIMIZERS, Example, optimizer_name
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, Window, median_milliseconds
from anneal.runtime.device import get_device

EXAMPLE: Final = "anneal train mlp --steps 300 --save mlp.safetensors"


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    shared.add_model(parser)
    parser.add_argument("--steps", type=shared.count, metavar="N", help="train up to step N, counted from the start also when resuming (default: the model's)")
    parser.add_argument("--batch", type=shared.count, metavar="N", help="rows a step (default: the model's, or the checkpoint's)")
    parser.add_argument("--lr", type=shared.rate, metavar="X", help="learning rate (default: the model's, or the checkpoint's)")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), help="sgd has a momentum of 0.9 (default: the model's, or the checkpoint's)")
    parser.add_argument("--seed", type=shared.seed, metavar="N", help="seed of parameters and batches (default: 0, or the checkpoint's)")
    shared.add_device(parser, "where to train (default: webgpu where there is an adapter, else reference)")
    parser.add_argument("--save", metavar="FILE", help="write a checkpoint at the end, also after Ctrl-C")
    parser.add_argument("--resume", metavar="FILE", help="go on from a checkpoint")


def run(arguments: Namespace) -> int:
    """Train; returns the exit code."""
    model = load(arguments.model)
    example = model.example("train")
    if arguments.save is not None:
        checkpoint.check_writable(arguments.save)
    with user_code(model.file):
        program, progress = _program(example, arguments)
        device = get_device(arguments.device)
        trainer = Trainer(program, device, progress.step)
    steps = example.steps if arguments.steps is None else arguments.steps
    windows, interrupted = _train(trainer, steps)
    failure = _save(arguments.save, trainer, progress)
    result = _result(trainer, progress, windows, interrupted=interrupted)
    result["saved"] = None if failure else arguments.save
    emit(result) if arguments.json else print(_report(result, Style(sys.stdout, plain=arguments.plain), program))
    if failure:
        raise AnnealError(f"the training is done but not saved: {failure}")
    return 0


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


def _train(trainer: Trainer, steps: int) -> tuple[list[Window], bool]:
    """Train up to a step; returns the windows, and whether Ctrl-C ended it."""
    windows = []
    width = len(str(steps))
    with _interruptible() as pressed:
        for window in trainer.train(steps, lambda: bool(pressed)):
            windows.append(window)
            each = window.seconds / len(window.losses) * 1e3
            note(f"step {window.last:>{width}}/{steps}  loss {window.losses[-1]:.4f}  {each:.2f} ms/step")
    return windows, bool(pressed)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Inside, a first Ctrl-C only adds to the list; the next one is Python's own again."""
    pressed: list[int] = []

    def _press(number: int, _: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, _press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _save(path: str | None, trainer: Trainer, start: Progress) -> CheckpointError | None:
    """Write the checkpoint, if one was asked for; returns what prevented it."""
    if path is None:
        return None
    try:
        checkpoint.save(path, trainer.program, Progress(start.model, trainer.done, start.seed, start.batch, start.optimizer))
    except CheckpointError as error:
        return error
    return None


def _result(trainer: Trainer, start: Progress, windows: list[Window], *, interrupted: bool) -> dict[str, Any]:
    plan = trainer.plan
    return {
        "model": start.model,
        "device": trainer.device.name,
        "backend": trainer.device.description,
        "steps": trainer.done,
        "resumed_from": start.step,
        "batch": start.batch,
        "optimizer": start.optimizer,
        "seed": start.seed,
        "loss_first": windows[0].losses[0],
        "loss_last": windows[-1].losses[-1],
        "accuracy": trainer.score(),
        "step_ms_median": median_milliseconds(windows),
        "first_step_ms": windows[0].seconds / len(windows[0].losses) * 1e3,
        "compile_ms": trainer.compile_seconds * 1e3,
        "uops": plan.stats["uops"],
        "kernels": len(plan.kernels),
        "kernels_fused": plan.stats["kernels_fused"],
        "fingerprint": plan.fingerprint,
        "interrupted": interrupted,
    }


def _report(result: dict[str, Any], style: Style, program: Program) -> str:
    """The result for a reader."""
    steps = f"{result['steps']} steps of {result['batch']}" + (f", the first {result['resumed_from']} before" if result["resumed_from"] else "")
    fused = style.paint(f"{result['kernels_fused']} of them fuse forward, backward or update", "fused")
    ended = ", interrupted" if result["interrupted"] else ""
    lines = {
        "model": f"{result['model']} on {result['device']}: {result['backend']}",
        "accuracy": style.bold(f"{result['accuracy']:.4f}") + f" on {program.held} held-out rows",
        "loss": f"{result['loss_first']:.4f} to {result['loss_last']:.4f} in {steps}, {result['optimizer']}{ended}",
        "step": f"{result['step_ms_median']:.2f} ms, median; the first {result['first_step_ms']:.0f} ms",
        "compile": f"{result['compile_ms']:.0f} ms for {result['uops']} UOps into {result['kernels']} kernels, {fused}",
        "plan": result["fingerprint"],
        "saved": result["saved"],
    }
    return "\n".join(f"{style.dim(f'{name:<9}')} {text}" for name, text in lines.items() if text is not None)
