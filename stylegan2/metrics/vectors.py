"""Arrays of vectors that may be larger than memory: on disk, read in blocks."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

BLOCK = 2048  # vectors in memory at a time


class Vectors(Protocol):
    """Vectors [N, size]: an array, in memory or mapped, or what makes them when they are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number and size of the vectors."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> np.ndarray:
        """Return the vectors that a slice or an array of indices names."""


@dataclass(frozen=True)
class Selected:
    """Some rows of an array, in any order, read when they are asked for.

    Attributes:
        array: what they are rows of, [N, size].
        rows: int [n].
    """

    array: Vectors
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return the selected rows that a slice or an array of indices names."""
        return self.array[self.rows[key]]

    @property
    def shape(self) -> tuple[int, int]:
        """Number and size of the vectors."""
        return len(self.rows), self.array.shape[1]


class Growing:
    """Vectors that are appended to an unnamed temporary file, which goes with this object."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._num = 0

    def append(self, vectors: np.ndarray) -> None:
        """Append float32 [n, size]."""
        if vectors.dtype != np.float32 or vectors.shape[1:] != (self._size,):
            raise ValueError(
                f"{vectors.dtype} {list(vectors.shape)}, not float32 [n, {self._size}]"
            )
        self._file.write(np.ascontiguousarray(vectors).data)
        self._num += len(vectors)

    def array(self) -> np.ndarray:
        """Return all vectors so far, mapped, float32 [N, size]."""
        self._file.flush()
        if not self._num:  # an empty file cannot be mapped
            return np.zeros([0, self._size], np.float32)
        return np.memmap(self._file, np.float32, mode="r", shape=(self._num, self._size))


def stored(vectors: Vectors) -> np.ndarray:
    """Return vectors that are made when they are read, [N, size], made once and mapped."""
    growing = Growing(vectors.shape[1])
    for block in blocks(vectors):
        growing.append(block)
    return growing.array()


def blocks(vectors: Vectors, first: int = 0) -> Iterator[np.ndarray]:
    """Yield the vectors in order, at most BLOCK at a time, as arrays of their own in memory."""
    for start in range(first, len(vectors), BLOCK):
        yield np.array(vectors[start : start + BLOCK])
