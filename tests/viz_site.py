"""A small site with a manifest, for tests of the server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def build(root: Path, files: Mapping[str, bytes], source_hash: str = "0" * 64) -> Path:
    """Write files and the manifest that names them; returns the folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    entries = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    root.mkdir(parents=True, exist_ok=True)
    (root / "manifest.json").write_text(json.dumps({"source_hash": source_hash, "files": entries}))
    return root
