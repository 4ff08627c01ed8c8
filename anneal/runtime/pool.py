"""Reuse of device memory.

Blocks that are given back are kept by size and handed out again, the latest first, so that a loop meets the same blocks on every turn.
Giving back may happen at any moment, in any thread, because storages die when the last reference to them does: it only queues the block.

>>> pool = Pool(make=bytearray, drop=lambda block: None, limit=1 << 20)
>>> block = pool.take(100)
>>> len(block)
256
>>> pool.give(256, block)
>>> pool.take(200) is block
True
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Block = TypeVar("Block")

_GRAIN = 256
_EXACT = 1 << 16


def capacity(nbytes: int) -> int:
    """The bytes of the block that serves a request: multiples of 256, and above 64 KiB eight steps to a doubling."""
    if nbytes <= _EXACT:
        return max(_GRAIN, -(-nbytes // _GRAIN) * _GRAIN)
    step = 1 << ((nbytes - 1).bit_length() - 4)
    return -(-nbytes // step) * step


class Pool(Generic[Block]):
    """Free blocks by capacity."""

    def __init__(self, make: Callable[[int], Block], drop: Callable[[Block], None], limit: int) -> None:
        self._make = make
        self._drop = drop
        self._limit = limit
        self._free: dict[int, list[Block]] = {}
        self._given: deque[tuple[int, Block]] = deque()
        self.free_bytes = 0
        """Bytes in blocks that wait to be used again."""

    def take(self, nbytes: int) -> Block:
        """A block of `capacity(nbytes)` bytes."""
        self._settle()
        room = capacity(nbytes)
        if blocks := self._free.get(room):
            self.free_bytes -= room
            return blocks.pop()
        return self._make(room)

    def give(self, room: int, block: Block) -> None:
        """Give back a block of `room` bytes that nothing uses any more."""
        self._given.append((room, block))

    def clear(self) -> None:
        """Drop every free block."""
        self._settle()
        blocks = [b for stack in self._free.values() for b in stack]
        self._free.clear()
        self.free_bytes = 0
        for block in blocks:
            self._drop(block)

    def _settle(self) -> None:
        while self._given:
            room, block = self._given.popleft()
            if self.free_bytes + room > self._limit:
                self._drop(block)
            else:
                self._free.setdefault(room, []).append(block)
                self.free_bytes += room
