"""What a model is called on the command line: an example's name, or `path/to/file.py:function`.

>>> split("mlp")
(None, 'mlp')
>>> split("mpl")
Traceback (most recent call last):
    ...
anneal.errors.UsageError: no model 'mpl': did you mean 'mlp'? There are conv, mlp; a model of your own is path/to/file.py:function
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from anneal.cli.output import nearest
from anneal.errors import UsageError
from anneal.examples import EXAMPLES
from anneal.examples.minilm_files import NAME

_OWN: Final = "a model of your own is path/to/file.py:function"


def split(reference: str, also: Collection[str] = ()) -> tuple[str | None, str]:
    """The user's file, as it was written, and the function, empty where none is named; of an example None and its name.

    Raises UsageError where there is no such example or file; `also` are names that the verb knows besides.
    """
    if not (":" in reference or reference.endswith(".py") or os.sep in reference):
        if reference == NAME:
            raise UsageError(f"{NAME} comes with its weights and is only run: anneal run {NAME} --text TEXT")
        if reference not in EXAMPLES:
            raise UsageError(f"no model {reference!r}: {nearest(reference, [*EXAMPLES, *also])}; {_OWN}")
        return None, reference
    path, _, function = reference.rpartition(":") if not reference.endswith(".py") else (reference, "", "")
    if not Path(path).is_file():
        raise UsageError(f"no file {path!r}: {_OWN}")
    return path, function
