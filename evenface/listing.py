"""What a config comes to, as lines of text: key, value, where it is from."""

from collections.abc import Sequence
from pathlib import Path

from evenface.places import DEMO_CONFIG
from evenface.reference import flow
from evenface.settings import Settings, base_config, merged, read, read_config, sources
from facekit.errors import DataError


def lines(paths: Sequence[Path], key: str = "") -> list[str]:
    """Return one line a setting: key, value as YAML has it, and its source.

    Args:
        paths: configs, each laid over the ones before it and all over the demo's.
        key: a setting or a section; empty for all.

    Raises:
        DataError: a config cannot be read or is wrong, or there is no such key.
    """
    config = merged(paths)
    layers = {DEMO_CONFIG.name: base_config(config)}
    layers |= {str(path): read_config(path) for path in paths}
    found = list(sources(read(config), layers))
    chosen = [row for row in found if not key or row[0] == key or row[0].startswith(f"{key}.")]
    if not chosen:
        known = ", ".join(Settings.model_fields)
        raise DataError(f"{key}: no such setting; sections are {known}")
    width = max(len(name) for name, _, _ in chosen)
    return [f"{name:{width}}  {flow(value)}  ({source})" for name, value, source in chosen]
