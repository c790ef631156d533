"""What lies beside a run that no config was named for: configs and results of other data sets."""

from collections.abc import Iterator
from pathlib import Path

from evenface.places import DEMO_CONFIG
from facekit.errors import DataError

# Configs that come with the pipeline, and are nobody's own.
PRESETS = ("aaf", "celeba", "config", "maskbase", "scarcity", "test", "tinyportraits")
MAX_BYTES = 1_000_000  # of a file that may be a config
MAX_NAMED = 3  # configs, and results, that the line names


def line(dataset: str, folder: Path) -> str | None:
    """Return a line that says which data set is run; None where nothing of another lies there.

    Args:
        dataset: the one that is run since no config is named.
        folder: that the run is started in.
    """
    others = [f"{path} ({name})" for path, name in configs(folder) if name != dataset]
    found = sorted(folder.glob("results/*/index.parquet"))
    results = [path.parent.name for path in found if path.parent.name != dataset]
    parts = []
    if others:
        parts.append(f"configs of others: {named(others)}")
    if results:
        parts.append(f"results of others: {named(results)}")
    if not parts:
        return None
    return (
        f"no config is named, so that the data set {dataset} is run, the demo; here are"
        f" {' and '.join(parts)}; --configfile names one"
    )


def only_run(folder: Path, pattern: str, lacking: str) -> Path:
    """Return the only run in a folder of results.

    Args:
        folder: of results, in which each run has a folder of its own.
        pattern: below it, of a file that a run has.
        lacking: says that there is no such run.

    Raises:
        DataError: there is none, or there are several.
    """
    found = sorted({folder / path.relative_to(folder).parts[0] for path in folder.glob(pattern)})
    if not found:
        raise DataError(
            f"{folder}: {lacking}; start in the folder that the run was started in, or name its"
            " results by --results"
        )
    if len(found) > 1:
        names = ", ".join(str(one) for one in found)
        raise DataError(f"{folder}: expected one run, found {names}; name one by --results")
    return found[0]


def named(names: list[str]) -> str:
    """Return some names as text, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def configs(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the configs in a folder and its config/, by the way to them, and their data sets."""
    for place in (folder, folder / "config"):
        for path in sorted([*place.glob("*.yaml"), *place.glob("*.yml")]):
            is_preset = path.stem in PRESETS and path.resolve().parent == DEMO_CONFIG.parent
            name = None if is_preset else _dataset_of(path)
            if name is not None:
                yield path.relative_to(folder), name


def _dataset_of(path: Path) -> str | None:
    """Return the data set that a config names; None for any other file."""
    import yaml

    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None  # of another program, most likely
    name = found.get("dataset") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None
