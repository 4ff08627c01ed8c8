"""The document of `anneal run`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

VERSION: Final = 1


class Output(TypedDict):
    """Values of a tensor."""

    dtype: str
    shape: list[int]
    values: Any
    """Nested lists; NaN and infinities as text."""


class Run(TypedDict):
    """What `anneal run` reports."""

    schema: Literal["anneal.run"]
    version: int
    model: str
    device: str
    backend: str
    outputs: list[Output]


class Judged(Run, total=False):
    """What it reports of an example, which has held-out rows."""

    labels: list[Any]
    predictions: list[int]
    """The place of the largest output of each row, where outputs are scores of classes."""
    accuracy: float | str


class Text(TypedDict):
    """A text that was embedded."""

    text: str
    tokens: int
    """Those that were read."""
    cut: bool
    """True where it has more, which were not."""


class Seconds(TypedDict):
    """What it took."""

    load: float
    """Files, tokeniser, and weights in another dtype."""
    compile: float
    run: float
    """Upload of weights and texts, the driver's own compiling, the kernels, and reading."""


class Precision(TypedDict):
    """What narrow weights cost, beside the same model with weights of float32 on the same device."""

    difference: float
    """Largest of any number of the embeddings, of which each has length 1."""
    cosine: float
    """Smallest between a text's two embeddings."""


class Embedded(Run):
    """What it reports of minilm; the one output has a row for each text."""

    weights: str
    """The dtype that they are stored as."""
    texts: list[Text]
    similarity: list[list[float]]
    """Of each text with each: the cosine between their embeddings."""
    seconds: Seconds
    kernels: list[int]
    """Of each plan that was run."""
    precision: Precision | None
    """None for weights of float32."""
