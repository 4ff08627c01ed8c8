"""`anneal run minilm`: texts as vectors, and how alike they are.

>>> line("Grüße from   Köln", 12)
'Grüße fro...'
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anneal.cli import options as shared
from anneal.cli.output import duration, emit, note, show
from anneal.errors import FileError, UsageError, number_of
from anneal.examples.minilm import Embedded, MiniLM
from anneal.examples.minilm_files import NAME
from anneal.export.schema.run import VERSION, Precision
from anneal.export.schema.run import Embedded as Document
from anneal.ir.dtype import TENSOR_DTYPES, by_name, dtypes

_DTYPES: Final = tuple(d.name for d in TENSOR_DTYPES if d.is_float)
_TABLE: Final = 12
"""Texts up to which the similarity of each with each is shown; of more, the nearest."""
_WIDTH: Final = 60


def options(parser: shared.Parser) -> None:
    """Add what is for texts alone."""
    parser.add_argument("--text", metavar="TEXT", action="append", default=[], help="minilm: a text to embed; may be given again")
    parser.add_argument("--file", metavar="FILE", help="minilm: a file of texts, a line each")
    parser.add_argument("--dtype", choices=_DTYPES, metavar="NAME", help="minilm: how weights are stored (default: float32)")
    parser.add_argument("--model", dest="folder", metavar="PATH", help="minilm: its folder (default: that of the installed package)")


def refuse(arguments: Namespace) -> None:
    """Raise UsageError for what is for texts alone."""
    given = {"--text": arguments.text, "--file": arguments.file, "--dtype": arguments.dtype, "--model": arguments.folder}
    if name := next((name for name, value in given.items() if value), None):
        raise UsageError(f"{name} is for {NAME}: anneal run {NAME} --text TEXT")


def run(arguments: Namespace) -> int:
    """Embed and print; returns the exit code."""
    given = {"--batch": arguments.batch, "--load": arguments.load, "--seed": arguments.seed}
    if name := next((name for name, value in given.items() if value is not None), None):
        raise UsageError(f"{NAME} comes with its weights and takes texts: leave {name} out")
    texts = [*arguments.text, *(_lines(arguments.file) if arguments.file is not None else ())]
    if not texts:
        raise UsageError(f"say what to embed: anneal run {NAME} --text TEXT, or --file FILE")
    start = time.perf_counter()
    model = MiniLM(arguments.folder, by_name(arguments.dtype or dtypes.float32.name), arguments.device)
    loaded = time.perf_counter() - start
    done = model.measured(texts)
    document = _document(model, texts, done, loaded)
    if model.dtype is not dtypes.float32:
        exact = MiniLM(arguments.folder, dtypes.float32, arguments.device).measured(texts)
        document["precision"] = _precision(document["outputs"][0]["values"], exact.embeddings.tolist())
    for tokens in done.tokens:
        if tokens.cut:
            note(f"anneal: {tokens.cut}")
    emit(document) if arguments.json else print("\n".join(_text(model, document, plain=arguments.plain)))
    return 0


def _lines(path: str) -> list[str]:
    """The lines of a file but for the blank ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8: byte {error.start} is {error.object[error.start]:#x}") from error
    return [found for found in text.split("\n") if found.strip()]


def _document(model: MiniLM, texts: Sequence[str], done: Embedded, loaded: float) -> Document:
    values = done.embeddings
    return {
        "schema": "anneal.run",
        "version": VERSION,
        "model": NAME,
        "device": model.device.name,
        "backend": model.device.description,
        "outputs": [{"dtype": values.dtype.name, "shape": [len(texts), model.config.width], "values": values.tolist()}],
        "weights": model.dtype.name,
        "texts": [{"text": text, "tokens": len(of.ids), "cut": bool(of.cut)} for text, of in zip(texts, done.tokens, strict=True)],
        "similarity": (values @ values.transpose(0, 1)).tolist(),
        "seconds": {"load": loaded, "compile": done.compile, "run": done.run},
        "kernels": [len(plan.kernels) for plan in done.plans],
        "precision": None,
    }


def _precision(found: list[list[float]], exact: list[list[float]]) -> Precision:
    pairs = list(zip(found, exact, strict=True))
    return {
        "difference": max(abs(a - b) for row, other in pairs for a, b in zip(row, other, strict=True)),
        "cosine": min(math.fsum(a * b for a, b in zip(row, other, strict=True)) / (math.hypot(*row) * math.hypot(*other)) for row, other in pairs),
    }


def _text(model: MiniLM, document: Document, *, plain: bool) -> list[str]:
    """The document for a reader."""
    config = model.config
    taken = ", ".join(f"{name} {duration(took, plain=plain)}" for name, took in document["seconds"].items() if isinstance(took, float))
    size = f"{number_of(config.layers, 'layer')}, {config.width} wide, {document['weights']} weights"
    lines = [f"model       {NAME}, {size}, on {document['device']}: {document['backend']}"]
    lines += [f"{number:<11} {of['tokens']:>3} tokens  {line(of['text'], _WIDTH)}" for number, of in enumerate(document["texts"], 1)]
    rows = document["outputs"][0]["values"]
    if len(rows) == 1:
        lines += [f"embedding   {show(rows[0])}, norm {math.hypot(*rows[0]):.4f}"]
    else:
        lines += _table(document["similarity"]) if len(rows) <= _TABLE else _nearest(document["similarity"])
    if (precision := document["precision"]) is not None:
        lines.append(f"precision   {precision['difference']:.1e} from float32 weights at most, cosine {precision['cosine']:.7f} at least")
    return [*lines, f"time        {taken}", f"kernels     {' + '.join(map(str, document['kernels']))}"]


def _table(similarity: list[list[float]]) -> list[str]:
    """How alike each is with each."""
    heads = "".join(f"{number:>8}" for number in range(1, len(similarity) + 1))
    return [f"similarity {heads}", *(f"{number:>10} {''.join(f'{x:>8.4f}' for x in row)}" for number, row in enumerate(similarity, 1))]


def _nearest(similarity: list[list[float]]) -> list[str]:
    """Of each the other that is most like it."""
    lines = ["most alike"]
    for number, row in enumerate(similarity, 1):
        score, other = max((score, -at) for at, score in enumerate(row, 1) if at != number)
        lines.append(f"{number:>10} {-other:>7} {score:>7.4f}")
    return lines


def line(text: str, most: int) -> str:
    """A text in a line of a terminal, cut where it is long."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
