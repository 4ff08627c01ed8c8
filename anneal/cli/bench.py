"""`anneal bench`: what it takes to compile and to run, against this device's own peaks and, where it is installed, against PyTorch.

All of it is measured in one run; each number comes with the middle half of its samples.

>>> EXAMPLE
'anneal bench matmul softmax --quick'
"""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from typing import Final

from anneal.cli import bench_measure, bench_picture, bench_text, pictures
from anneal.cli import options as shared
from anneal.cli.bench_cases import Case, names, select
from anneal.cli.bench_peer import Peer
from anneal.cli.output import Style, emit, note
from anneal.errors import AnnealError
from anneal.export import measured
from anneal.export.schema.bench import VERSION, Bench
from anneal.runtime import measure
from anneal.runtime.device import Device, get_device

EXAMPLE: Final = "anneal bench matmul softmax --quick"
_SECONDS: Final = {False: 3.0, True: 0.4}
"""For each benchmark, by whether it is to be quick."""


def options(parser: shared.Parser) -> None:
    """Add what the verb takes."""
    words = [name for name in names() if "-" not in name]
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"what to measure, by name or by a word of it: {', '.join(words)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer samples: seconds instead of a minute")
    shared.add_device(parser, "what to measure (default: webgpu where there is an adapter, else reference)")
    parser.add_argument("--output", metavar="FILE", help="draw a picture too, as PNG or SVG by the file's ending")


def run(arguments: Namespace) -> int:
    """Measure and print; returns the exit code. A picture that cannot be written costs nobody the numbers."""
    cases, output = select(arguments.names), arguments.output
    if output is not None:
        pictures.check(output)
    device = get_device(arguments.device)
    document = measure_all(cases, device, quick=arguments.quick)
    failure = None if output is None else _draw(document, output)
    if arguments.json:
        emit(document)
    else:
        print("\n".join(bench_text.lines(document, Style(sys.stdout, plain=arguments.plain), shutil.get_terminal_size().columns)))
    if failure is not None:
        raise failure
    return 0


def measure_all(cases: list[Case], device: Device, *, quick: bool) -> Bench:
    """All measurements; says on stderr which one runs. The peaks are measured before and after, and the higher ones count."""
    note(f"{device.name}: {device.description}")
    peaks = measure.peaks(device)
    peer = Peer.find() if any(case.kind != "compile" for case in cases) else None
    compilations, sampled = [], []
    for number, case in enumerate(cases, 1):
        note(f"{number:>{len(str(len(cases)))}}/{len(cases)}  {case.name}: {case.doc}")
        if case.kind == "compile":
            compilations.append(bench_measure.compilation(case, device, _SECONDS[quick]))
        else:
            sampled.append(bench_measure.timing(case, device, peer, _SECONDS[quick]))
    peaks = peaks.or_better(measure.peaks(device))
    return Bench(
        schema="anneal.bench",
        version=VERSION,
        device=device.name,
        backend=device.description,
        quick=quick,
        torch=peer.version if peer else None,
        torch_threads=peer.threads if peer else None,
        peaks=measured.peaks(peaks),
        compilations=compilations,
        timings=[bench_measure.held_against(peaks, found) for found in sampled],
        output=None,
    )


def _draw(document: Bench, output: str) -> AnnealError | None:
    """Write the picture, and its name into the document; returns what prevented it."""
    try:
        pictures.write(output, lambda figure: bench_picture.draw(figure, document), bench_picture.height(document))
    except AnnealError as error:
        return error
    document["output"] = output
    return None
