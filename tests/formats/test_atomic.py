"""Files are whole or absent: what was there stays until the new one is, links stay links, and devices are written to."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anneal.formats import atomic


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "runs" / "first")
    for data in (b"new", b"newer"):
        atomic.write(tmp_path / "latest", data)
        assert (tmp_path / "latest").is_symlink()
        assert (tmp_path / "runs" / "first").read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == ["latest", "runs"]
    assert os.listdir(tmp_path / "runs") == ["first"]


def test_standard_output_sent_to_a_file(tmp_path: Path) -> None:
    script = "from anneal.formats import atomic; atomic.write('/dev/stdout', b'all of it')"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", script], check=True, stdout=out, timeout=60)
    assert (tmp_path / "out").read_bytes() == b"all of it"
    piped = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, timeout=60)
    assert piped.stdout == b"all of it"
    assert Path("/dev/stdout").is_symlink()


def test_a_failure_names_the_file_and_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    atomic.write(path, b"old")
    monkeypatch.setattr("anneal.formats.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        atomic.write(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", b"")
    (tmp_path / "other").touch()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
