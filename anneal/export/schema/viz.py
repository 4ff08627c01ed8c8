"""The documents of `anneal viz`: what it says when it begins to serve, and what it hands to the page."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from anneal.export.schema.graph import Part

VERSION: Final = 1


class Viz(TypedDict):
    """A visualizer that is being served."""

    schema: Literal["anneal.viz"]
    version: int
    url: str
    """The address that shows the model."""
    host: str
    """The address that is listened at."""
    port: int
    site: str
    """The folder that is served."""
    source_hash: str
    """Names the sources that the site was built from."""
    model: str | None
    """What was asked for; None where the page shows what it shows by itself."""
    part: Part
    opened: bool
    """True where a browser was found and told."""


class Launch(TypedDict):
    """`launch.json`: the program that the page opens with."""

    name: str
    """What was asked for: an example's name, or a file and a function."""
    example: str | None
    """The example, where the page knows its program already."""
    source: str | None
    """The program otherwise: the value of its last expression is shown."""
    part: Part
    files: dict[str, str]
    """The modules beside the user's file that the program imports: text by path, such as `helper.py` or `nets/small.py`."""
