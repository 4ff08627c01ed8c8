"""The examples' data, programs and training, without the command line."""

from __future__ import annotations

import csv
import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_example import small

from anneal import Tensor, nn
from anneal.errors import AnnealError, CheckpointError, UsageError
from anneal.examples import EXAMPLES, Data, Example, checkpoint, digits
from anneal.examples.checkpoint import Progress
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, Window
from anneal.runtime.device import get_device

DATA = Path(digits.__file__).parent / "data" / "digits.csv.gz"


def losses(example: Example, steps: int, device: str = "reference", seed: int = 0) -> list[float]:
    trainer = Trainer(Program(example, seed=seed), get_device(device))
    return [loss for window in trainer.train(steps) for loss in window.losses]


def test_the_split_is_of_the_real_rows_and_never_changes() -> None:
    data = digits.load()
    assert [t.shape for t in data] == [(1437, 64), (1437,), (360, 64), (360,)]
    images, labels = data.inputs.tolist() + data.held_inputs.tolist(), data.labels.tolist() + data.held_labels.tolist()
    rows = [(*(round(v * 16) for v in image), label) for image, label in zip(images, labels, strict=True)]
    with gzip.open(DATA, "rt") as file:
        real = [tuple(map(int, row)) for row in csv.reader(file)]
    assert sorted(rows) == sorted(real)
    assert rows != real
    held = repr(data.held_labels.tolist()).encode()
    assert hashlib.sha256(held).hexdigest()[:16] == "0fdb47a2fcdf0c7b"
    assert all(data.held_labels.tolist().count(d) > 20 for d in range(10))


def test_images_are_the_same_pixels() -> None:
    assert digits.load(1, 8, 8).inputs.flatten(1).tolist() == digits.load().inputs.tolist()


@pytest.mark.parametrize(("name", "batch", "steps"), [("mlp", 64, 20), ("conv", 8, 6)])
def test_both_devices_train_alike(name: str, batch: int, steps: int) -> None:
    example = replace(EXAMPLES[name], batch=batch)
    gpu, reference = losses(example, steps, "webgpu"), losses(example, steps, "reference")
    assert len(gpu) == steps
    assert gpu == pytest.approx(reference, rel=5e-3)
    assert gpu[:5] == pytest.approx(reference[:5], rel=1e-4)


def test_losses_are_those_of_pytorch() -> None:
    program = Program(EXAMPLES["mlp"])
    data = [torch.tensor(t.tolist()) for t in program.data]
    w1, b1, w2, b2 = (torch.tensor(p.tolist(), requires_grad=True) for p in program.parameters)
    optimizer = torch.optim.SGD([w1, b1, w2, b2], lr=program.optimizer.lr.item(), momentum=0.9)
    trainer = Trainer(program, get_device("webgpu"))
    expected = []
    for step in range(15):
        rows = trainer._batch(step)
        hidden = torch.relu(data[0][rows] @ w1.T + b1)
        loss = torch.nn.functional.cross_entropy(hidden @ w2.T + b2, data[1][rows].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    found = [loss for window in trainer.train(15) for loss in window.losses]
    assert found == pytest.approx(expected, rel=1e-4)
    assert program.parameters[0].tolist()[5] == pytest.approx(w1.tolist()[5], rel=1e-3, abs=1e-5)
    guesses = (torch.relu(data[2] @ w1.T + b1) @ w2.T + b2).argmax(1)
    assert trainer.score() == pytest.approx((guesses == data[3]).float().mean().item(), abs=0.01)


def test_each_row_comes_once_before_any_comes_again() -> None:
    trainer = Trainer(Program(small()), get_device("reference"))
    batches = [trainer._batch(step) for step in range(12)]
    rounds = [[row for batch in batches[i : i + 4] for row in batch] for i in (0, 4, 8)]
    assert [sorted(r) for r in rounds] == [list(range(16))] * 3
    assert len({tuple(r) for r in rounds}) == 3
    assert trainer._batch(5) == batches[5]
    assert [Trainer(Program(small(), seed=1), get_device("reference"))._batch(s) for s in range(12)] != batches


def test_steps_build_and_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from anneal.ir.uop import ARENA
    from anneal.runtime import pipeline

    trainer = Trainer(Program(small()), get_device("reference"))
    list(trainer.train(20))
    before = trainer.score()
    monkeypatch.setattr(pipeline, "compile_graph", lambda *_: pytest.fail("compiled"))
    alive = len(ARENA)
    list(trainer.train(200))
    assert len(ARENA) == alive
    assert trainer.score() != before


def test_a_window_ends_at_the_first_step_at_every_tenth_and_when_told() -> None:
    trainer = Trainer(Program(small()), get_device("reference"))
    assert [(w.last, len(w.losses)) for w in trainer.train(23)] == [(1, 1), (10, 9), (20, 10), (23, 3)]
    assert [(w.last, len(w.losses)) for w in trainer.train(90, lambda: trainer.done == 31)] == [(30, 7), (31, 1)]
    assert list(trainer.train(31)) == []


def test_a_loss_that_stops_being_a_number_names_its_step() -> None:
    """Parameters grow until the loss overflows; which step that is, PyTorch's arithmetic says too."""
    example = small(model=lambda: nn.Linear(2, 1), loss=lambda y, t: (y * 1e9 - t.float().unsqueeze(1)).square().mean() * 0 + (y * y).sum().exp(), lr=5.0)
    trainer = Trainer(Program(example), get_device("reference"))
    seen: list[Window] = []
    with pytest.raises(AnnealError, match=r"the loss is (nan|inf) at step (\d+): training has diverged") as raised:
        seen.extend(trainer.train(100))
    step = int(str(raised.value).split("at step ")[1].split(":")[0])
    assert 1 < step <= 10
    assert [w.last for w in seen] == [1]


class Noisy:
    """A network with chance and statistics of its own."""

    def __init__(self) -> None:
        self.first = nn.Conv2d(1, 3, 1)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(6, 3)

    def __call__(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.first(x.reshape(-1, 1, 1, 2))).relu()
        return self.last(self.drop(hidden.flatten(1)))


def test_dropout_has_a_new_mask_each_step() -> None:
    class Mask:
        def __init__(self) -> None:
            self.weight = Tensor.ones(64, requires_grad=True)

        def __call__(self, x: Tensor) -> Tensor:
            bits = 2.0 ** Tensor.arange(64).float()[:20].cat(Tensor.zeros(44))
            return (Tensor.ones(64) * self.weight.detach()).dropout(0.5) * bits + self.weight * 0 + x.sum() * 0

    example = small(model=Mask, loss=lambda y, t: y[:20].sum() / 2 + t.sum().float() * 0, lr=0.0, score=lambda y, t: y.sum())
    assert len(set(losses(example, 12))) == 12
    assert losses(example, 12) == losses(example, 12)
    assert losses(example, 12) != losses(example, 12, seed=1)


def test_statistics_and_chance_are_resumed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    example, path = small(model=Noisy, optimizer="adam"), str(tmp_path / "file")
    whole = Trainer(Program(example, seed=2), get_device("reference"))
    expected = [loss for w in whole.train(12) for loss in w.losses]
    first = Program(example, seed=2)
    list(Trainer(first, get_device("reference")).train(5))
    checkpoint.save(path, first, Progress("small", 5, 2, 4, "adam"))
    second = Program(example, seed=2)
    checkpoint.load(path, second)
    rest = Trainer(second, get_device("reference"), 5)
    assert [loss for w in rest.train(12) for loss in w.losses] == expected[5:]
    assert rest.score() == whole.score()
    assert second.model.norm.running_mean.tolist() == whole.program.model.norm.running_mean.tolist() != [0.0] * 3  # type: ignore[attr-defined]


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    checkpoint.save(path, Program(small()), Progress("small", 5, 0, 4, "sgd"))
    other = Program(small(model=lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))))
    before = [p.tolist() for p in other.parameters]
    with pytest.raises(CheckpointError, match=r"file: the state does not fit the model: it lacks model\.0"):
        checkpoint.load(path, other)
    assert [p.tolist() for p in other.parameters] == before


def test_the_model_alone_can_be_loaded_whatever_the_optimiser(tmp_path: Path) -> None:
    path, saved = str(tmp_path / "file"), Program(small(), seed=5)
    checkpoint.save(path, saved, Progress("small", 0, 5, 4, "sgd"))
    program = Program(small(optimizer="adam"))
    checkpoint.load(path, program, only_model=True)
    assert [p.tolist() for p in program.parameters] == [p.tolist() for p in saved.parameters]


_NEGATIVE = {"anneal": "1", "model": "m", "step": "-1", "seed": "0", "batch": "1", "optimizer": "sgd"}


@pytest.mark.parametrize("metadata", [{}, {"anneal": "2"}, {"anneal": "1"}, _NEGATIVE])
def test_metadata_that_are_not_a_trainings_are_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="x"):
        checkpoint.parse(metadata, "x")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 17}, "a batch of 17: small has 16 rows to learn from, so it may be 1 to 16"),
        ({"model": lambda: Tensor.relu}, "has no tensor that requires a gradient"),
        ({"optimizer": "sdg"}, "no optimiser 'sdg': there are sgd, adam, adamw"),
        ({"data": lambda: Data(*[Tensor.zeros(0, 2)] * 4)}, "at least 1"),
    ],
)
def test_examples_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Program(small(**changes))
