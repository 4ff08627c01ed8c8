"""Loads and stores of all invocations at once, and what may go wrong with them.

Only active invocations count: the index of another one is moved inside the buffer in silence, and it stores nothing. An active invocation
outside the buffer is a Fault, and so, when checking, are two invocations of which one touches what the other writes with no barrier between.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anneal.errors import DeviceError
from anneal.runtime.reference.numeric import Value

_NOBODY: Final = -1
_MANY: Final = -2


class Fault(DeviceError):  # noqa: N818 - of the kernel, not of the program that runs it
    """A kernel that does what it may not; the message does not name the kernel yet."""


class Memory:
    """A buffer, or the workgroup memory of some workgroups, as kernels see it."""

    def __init__(self, name: str, data: NDArray[np.generic], limit: int, *, checked: bool) -> None:
        self.name = name
        self.data = data
        """Elements, at least one."""
        self.limit = limit
        """Elements that may be touched; for workgroup memory those of one workgroup."""
        self.zero = data.dtype.type(0)
        self.decode = False
        """True for a buffer that holds bool as uint32."""
        self.local = False
        """True for workgroup memory, which a barrier synchronises."""
        self.base: Value = 0
        """Where each workgroup's part begins."""
        self.watch = Watch(len(data)) if checked else None

    def load(self, index: Value, gate: Value, mask: Value, lanes: Value) -> Value:
        """Elements at `index`; 0 where `gate`, which may be None, is False."""
        place = self._inside(index, gate, mask, "reads")
        if self.local:
            place = place + self.base
        if self.watch is not None:
            self._told(self.watch.load(place, both(gate, mask), lanes), "reads what another one writes")
        value = self.data[place]
        if gate is not None:
            value = np.where(gate, value, self.zero)[()]
        return value != 0 if self.decode else value

    def store(self, index: Value, value: Value, gate: Value, mask: Value, lanes: Value) -> None:
        """Write `value` at `index` where `gate`, which may be None, and the mask hold."""
        place = self._inside(index, gate, mask, "writes")
        if self.local:
            place = place + self.base
        active = both(gate, mask)
        if active is not None and not isinstance(active, np.ndarray):
            if not active:
                return
            active = None
        extent = np.broadcast_shapes(np.shape(place), np.shape(value), np.shape(active), np.shape(lanes))
        place, value = np.broadcast_to(place, extent), np.broadcast_to(value, extent)
        if active is not None:
            chosen = np.broadcast_to(active, extent)
            place, value = place[chosen], value[chosen]
        self.data[place] = value
        if self.watch is not None:
            who = np.broadcast_to(lanes, extent)
            self._told(self.watch.store(place, who if active is None else who[chosen], self.data, value), "writes what another one touches")

    def _inside(self, index: Value, gate: Value, mask: Value, does: str) -> Value:
        """`index` with the places of inactive invocations moved inside; raises when an active one is outside."""
        limit = self.limit
        if isinstance(index, np.ndarray):
            if index.min() >= 0 and index.max() < limit:
                return index
        elif 0 <= index < limit:
            return index
        outside = (index < 0) | (index >= limit)
        active = both(gate, mask)
        wrong = outside if active is None else outside & active
        if np.any(wrong):
            where = np.broadcast_to(index, np.shape(wrong))[wrong].flat[0] if np.shape(wrong) else index
            raise Fault(f"an invocation {does} {self.name}[{where}], which has {limit} elements")
        return np.clip(index, 0, max(limit - 1, 0))

    def _told(self, place: int | None, what: str) -> None:
        if place is not None:
            raise Fault(f"an invocation {what}, with no barrier between: {self.name}, element {place % max(self.limit, 1)}")


def both(gate: Value, mask: Value) -> Value:
    """Where both conditions hold; None stands for everywhere."""
    return mask if gate is None else gate if mask is None else gate & mask


class Watch:
    """Who wrote and who read each element since the last barrier; each answer is the element of a race, or None."""

    def __init__(self, count: int) -> None:
        self._writer = np.full(count, _NOBODY, np.int64)
        self._reader = np.full(count, _NOBODY, np.int64)

    def barrier(self) -> None:
        """All that was written is seen by all."""
        self._writer.fill(_NOBODY)
        self._reader.fill(_NOBODY)

    def load(self, place: Value, active: Value, lanes: Value) -> int | None:
        """Note reads."""
        extent = np.broadcast_shapes(np.shape(place), np.shape(active), np.shape(lanes))
        chosen = slice(None) if active is None else np.broadcast_to(active, extent)
        where, who = np.broadcast_to(place, extent)[chosen].ravel(), np.broadcast_to(lanes, extent)[chosen].ravel()
        writer, reader = self._writer[where], self._reader[where]
        self._reader[where] = who
        shared = ((reader != _NOBODY) & (reader != who)) | (self._reader[where] != who)
        self._reader[where[shared]] = _MANY
        return _first(where, (writer != _NOBODY) & (writer != who))

    def store(self, place: Value, who: Value, data: NDArray[np.generic], value: Value) -> int | None:
        """Note writes, done already: two that differ, or one after another invocation's read, are a race."""
        where, who, value = np.ravel(place), np.ravel(who), np.ravel(value)
        writer, reader = self._writer[where], self._reader[where]
        self._writer[where] = who
        stored, meant = data[where], value.astype(data.dtype)
        differs = (stored != meant) & ~(np.isnan(stored) & np.isnan(meant))
        mixed = (writer != _NOBODY) & (writer != who) | ((reader != _NOBODY) & (reader != who))
        return _first(where, differs | mixed)


def _first(where: NDArray[np.int64], wrong: NDArray[np.bool_]) -> int | None:
    return int(where[wrong][0]) if wrong.any() else None
