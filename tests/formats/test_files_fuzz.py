"""A million files that are changed or made at random: each is loaded, or refused with a ParseError; see `fuzz.py`, which also runs alone."""

from __future__ import annotations

from random import Random

import pytest
from fuzz import COUNTED, FORMATS, Format, FoundError, mutated, run

from anneal import ParseError, Tensor

INPUTS = {"npy": 400_000, "safetensors": 400_000, "npz": 200_000}
CASE = 25_000


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")


def test_there_are_a_million() -> None:
    assert sum(INPUTS.values()) >= 1_000_000
    assert all(inputs % CASE == 0 for inputs in INPUTS.values())
    assert INPUTS.keys() == FORMATS.keys()


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, inputs in INPUTS.items() for seed in range(inputs // CASE)])
def test_files_at_random_load_or_are_refused(name: str, seed: int) -> None:
    counts = run(name, CASE, seed)
    assert counts.loaded + counts.refused == CASE
    assert counts.loaded > CASE // 30
    assert counts.refused > CASE // 2
    assert CASE // COUNTED > counts.compared > 0


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_changed_was_good(name: str) -> None:
    chosen = FORMATS[name]
    for data in chosen.corpus:
        assert all(len(tensor.data()) >= 0 for tensor in chosen.load(data).values())
    random = Random(1)
    assert len({mutated(random, chosen.corpus[0], chosen.words) for _ in range(1000)}) > 900


def test_the_harness_finds_what_is_wrong() -> None:
    def greedy(data: bytes) -> dict[str, Tensor]:
        bytes(10_000_000)
        raise ParseError("no")

    def careless(data: bytes) -> dict[str, Tensor]:
        raise KeyError("x")

    def wrong(data: bytes) -> dict[str, Tensor]:
        return {name: tensor + 1 for name, tensor in FORMATS["npy"].load(data).items()}

    good = FORMATS["npy"]
    for load, words in ((greedy, "10,0.*bytes were in use"), (careless, "KeyError"), (wrong, "AssertionError")):
        FORMATS["bad"] = Format(load, good.theirs, good.corpus, good.words, lambda random, words: good.corpus[0], good.expansion)
        try:
            with pytest.raises(FoundError, match=words):
                run("bad", 1000)
        finally:
            del FORMATS["bad"]
