"""The settings as a table for people: `python -m facedata.settings_table` prints it.

config/README.md holds this table; a test compares the two.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedata.settings import allowed


def markdown(config: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the settings as a table: key, default, allowed values, meaning."""
    lines = ["| setting | default | allowed | what it is |", "| --- | --- | --- | --- |"]
    lines += _rows(schema, config, schema["$defs"], "")
    return "\n".join(lines) + "\n"


def _rows(node: Mapping[str, Any], value: Any, defs: Mapping[str, Any], path: str) -> list[str]:
    rows = []
    for name, child in node["properties"].items():
        resolved = _resolve(child, defs)
        default = value.get(name) if isinstance(value, Mapping) else None
        key = f"{path}.{name}".lstrip(".")
        if "description" in child:
            shown = "" if value is None else f"`{_flow(default)}`"
            allowed = _allowed_values(resolved, defs).replace("|", "\\|")
            rows.append(f"| `{key}` | {shown} | {allowed} | {child['description']} |")
        if "properties" in resolved and "$ref" not in child:
            rows += _rows(resolved, default, defs, key)
        items = resolved.get("items", {})
        if "properties" in items:
            rows += _rows(items, None, defs, f"{key}[]")
    return rows


def _resolve(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    return defs[node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def _flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _allowed_values(node: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(str(value) for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(allowed(choice).strip("'") for choice in node["anyOf"])
    if node.get("type") == "array":
        of = _resolve(node.get("items", {}), defs).get("type", "value")
        return f"list of {of}s"
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    return " or ".join(allowed({**node, "type": name}) for name in types)


if __name__ == "__main__":
    import yaml

    config = yaml.safe_load(Path("config/config.yaml").read_text())
    schema = yaml.safe_load(Path("workflow/schemas/config.schema.yaml").read_text())
    print(markdown(config, schema), end="")
