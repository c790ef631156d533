"""ONNX files beside the networks that they were made of."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from facekit.errors import DataError

TOLERANCE = 1e-4  # of ONNX Runtime's results, relative to the largest value (at least 1)
BATCHES = (1, 3)  # that a file is tried on

Probe = tuple[Mapping[str, np.ndarray], Sequence[np.ndarray]]  # inputs by name, expected results


def check(file: Path, probes: Iterable[Probe], path: Path, what: str) -> float:
    """Return how far a file is off, relative to the largest value (at least 1) of each result.

    Args:
        file: the ONNX file, which ONNX Runtime reads on the CPU.
        probes: what it is tried on.
        path: where the file is to lie, for the message.
        what: it was made of, for the message.

    Raises:
        DataError: it is off by more than TOLERANCE, or gives what is no number.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    worst = 0.0
    for inputs, expected in probes:
        for one, other in zip(session.run(None, dict(inputs)), expected, strict=True):
            difference = np.abs(one - other).max() / max(np.abs(other).max(), 1)
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf)))
    if worst > TOLERANCE:
        raise DataError(
            f"{path}: not written: ONNX Runtime differs from the {what} by {worst:.1e},"
            f" expected at most {TOLERANCE:.0e}"
        )
    return worst
