"""run.json: what made an output (command, values, seed, commit, versions, device, cost)."""

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from facekit.storage.files import write_text

PACKAGES = (
    "evenface",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "simplejpeg",
    "timm",
    "torch",
    "torchvision",
)


def run_path(output: Path) -> Path:
    """Return where the record of an output lies: `splits.parquet` -> `splits.run.json`."""
    output = Path(output)
    return output.with_name(f"{output.stem}.run.json")


@contextmanager
def record(path: Path, values: dict[str, Any]) -> Iterator[None]:
    """Write `path` when the block succeeds: its command line, values, seconds and peak memory."""
    start = time.monotonic()
    yield
    torch = sys.modules.get("torch")  # a command that did not load torch ran on the CPU
    gpu = torch.cuda if torch is not None and torch.cuda.is_initialized() else None
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    run = {
        "command": sys.argv,
        "values": values,
        "seed": values.get("seed"),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": platform.machine() if gpu is None else gpu.get_device_name(),
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mib": max(own, children) // 1024,
    }
    if gpu is not None:
        run["peak_gpu_memory_mib"] = gpu.max_memory_allocated() >> 20
    write_text(json.dumps(run, indent=2, default=str) + "\n", path)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Return the commit of the code, with `+` when the tree has changes; None outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
