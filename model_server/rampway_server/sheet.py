"""Counts in memory that a pod's workers share, and that outlives each of them.

Each worker adds to cells of its own, so nothing is ever locked; whoever is scraped adds up the
cells of all. A worker that is started anew goes on with its predecessor's: no count is lost, and
none ever falls.
"""

import mmap
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SLOT_BYTES = 16 << 20
"""Of address space, for each worker; memory is taken as cells are."""
_USED = struct.Struct("=Q")
_HEAD = struct.Struct("=II")  # bytes of the name, cells
_ALIGNMENT = 8


class Sheet:
    """The memory of all workers; made before they are.

    Args:
        slots: One for each worker.
    """

    def __init__(self, slots: int = 1) -> None:
        self._memory = mmap.mmap(-1, slots * SLOT_BYTES)
        self._slots = [_Slot(self._memory, number * SLOT_BYTES) for number in range(slots)]

    def page(self, slot: int = 0) -> "Page":
        """Return what one worker writes, and reads of all."""
        return Page(self._slots, slot)


class Page:
    """One worker's part, with a view of all."""

    def __init__(self, slots: "Sequence[_Slot]", own: int) -> None:
        self._slots = slots
        self._own = slots[own]

    def cells(self, *name: str, size: int) -> "Cells":
        """Return the cells of that name and number, at 0 where they are new."""
        key = b"\0".join(part.encode() for part in (*name, str(size)))
        return Cells(self._own.block(key, size), key, self._slots)


class Cells:
    """Some counts that belong together.

    Attributes:
        own: This worker's, to be added to: float64, shape [size].
    """

    def __init__(self, own: NDArray[np.float64], key: bytes, slots: "Sequence[_Slot]") -> None:
        self.own = own
        self._key = key
        self._slots = slots

    def total(self) -> NDArray[np.float64]:
        """Return the sums over all workers."""
        found = [slot.find(self._key) for slot in self._slots]
        total: NDArray[np.float64] = np.sum([one for one in found if one is not None], axis=0)
        return total


class _Slot:
    """One worker's memory: how much of it is used, then blocks with their names."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start
        self._seen = start + _USED.size
        self._blocks: dict[bytes, NDArray[np.float64]] = {}

    def find(self, key: bytes) -> NDArray[np.float64] | None:
        """Return the block of that name if there is one yet."""
        if key not in self._blocks:
            self._look()
        return self._blocks.get(key)

    def block(self, key: bytes, size: int) -> NDArray[np.float64]:
        """Return the block of that name, new if need be.

        Raises:
            MemoryError: the slot is full.
        """
        if self.find(key) is None:
            at = self._seen
            end = _cells_at(at, key) + 8 * size
            if end > self._start + SLOT_BYTES:
                raise MemoryError(f"counts of {len(self._blocks)} kinds fill {SLOT_BYTES} bytes")
            _HEAD.pack_into(self._memory, at, len(key), size)
            self._memory[at + _HEAD.size : at + _HEAD.size + len(key)] = key
            # Last: until now no other worker sees it.
            _USED.pack_into(self._memory, self._start, end - self._start)
            self._look()
        return self._blocks[key]

    def _look(self) -> None:
        """Take note of blocks that were added since."""
        (used,) = _USED.unpack_from(self._memory, self._start)
        while self._seen < self._start + used:
            length, size = _HEAD.unpack_from(self._memory, self._seen)
            name_at = self._seen + _HEAD.size
            cells_at = _cells_at(self._seen, bytes(length))
            key = self._memory[name_at : name_at + length]
            self._blocks[key] = np.frombuffer(self._memory, np.float64, size, cells_at)
            self._seen = cells_at + 8 * size


def _cells_at(block: int, key: bytes) -> int:
    end = block + _HEAD.size + len(key)
    return -(-end // _ALIGNMENT) * _ALIGNMENT
