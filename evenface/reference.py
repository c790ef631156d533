"""What is written from the code: schema, settings, columns, reference of commands and of Python.

`python -m evenface.reference` writes all of it anew; a test fails where it is not current.
"""

import ast
import importlib
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from evenface.places import PIPELINE
from evenface.settings import Settings, base_config
from facekit.offering import Offer, offers
from facekit.options import Options, about, items_of, options_of, words_of
from facekit.storage.columns import Table
from facekit.storage.files import write_text

SCHEMA = PIPELINE / "config/schema.json"
SETTINGS = PIPELINE / "config/README.md"
COMMANDS = PIPELINE / "docs/commands.md"
API = PIPELINE / "docs/api.md"
STAGES = PIPELINE / "docs/pipeline.md"
BEGIN, END = "<!-- settings: python -m evenface.reference -->", "<!-- end of settings -->"
BEGIN_COLUMNS = "<!-- columns: python -m evenface.reference -->"
END_COLUMNS = "<!-- end of columns -->"
GROUPS = ("evenface", "facedata", "stylegan2", "classifiers")
COLUMNS = ("facedata.columns", "facedata.explore.columns", "classifiers.columns")
PACKAGES = ("facedata", "stylegan2", "classifiers", "evenface", "facekit")
MEANS = re.compile(r"[*\\]|(?<!\w)_|_(?!\w)")  # something to Markdown
OPENS = re.compile(r"<(?=[\w/!?])")  # a tag of HTML
OURS = ("title", "harmless", "flag", "alias", "unit", "required")  # what editors have no use for


def schema() -> str:
    """Return the JSON schema of a config, for editors; every key may lack, as files are laid over.

    The check itself is that of the classes, which also know one setting from another.
    """
    found = _plain(Settings.model_json_schema())
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "Settings of Evenface",
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """Return a schema without what is ours, and without what pydantic adds for itself."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _plain(child) for name, child in value.items()}
        elif key == "default":
            found[key] = value
        elif key not in OURS:
            found[key] = _plain(value)
    return found


def settings_table() -> str:
    """Return the settings as a Markdown table: key, default, the demo's value, range, meaning."""
    demo = base_config({})
    lines = ["| setting | default | in the demo | allowed | what it is |", "| --- " * 5 + "|"]
    lines += _rows(Settings, demo, "")
    return "\n".join(lines) + "\n"


def _rows(cls: type[Options], demo: Any, prefix: str) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        key = f"{prefix}{name}"
        own = demo.get(name) if isinstance(demo, dict) else None
        inner = options_of(field.annotation)
        if inner is not None:
            if inner.__doc__ and not prefix:
                yield f"| **`{key}`** | | | | {_cell(_first_line(inner))} |"
            yield from _rows(inner, own, f"{key}.")
            continue
        default = "" if field.is_required() else f"`{flow(_default(field))}`"
        item = options_of(items_of(field.annotation))
        shown = "" if own is None or item is not None else f"`{flow(own)}`"
        shown = "" if shown == default else shown
        words = _cell(words_of(cls, name)[0]) if item is None else "list of objects"
        cells = [f"`{key}`", _cell(default), _cell(shown), words, _cell(_meaning(field))]
        yield f"| {' | '.join(cells)} |"
        if item is not None:
            yield from _rows(item, None, f"{key}[].")


def _meaning(field: FieldInfo) -> str:
    unit = about(field, "unit")
    return (field.description or "") + (f" [{unit}]" if unit else "")


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _cell(text: str) -> str:
    """Return text for a cell, in which nothing but code in backticks means anything to Markdown."""
    parts = re.split("(`[^`]*`)", text)
    parts[::2] = [OPENS.sub("&lt;", MEANS.sub(r"\\\g<0>", part)) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|").replace("\n", " ")


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, Options):
        value = value.plain()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def settings_page(text: str) -> str:
    """Return config/README.md with the table made anew."""
    return _between(text, BEGIN, END, settings_table())


def _between(text: str, begin: str, end: str, content: str) -> str:
    """Return a page with what is between two lines made anew."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{content}\n{end}{after}"


def columns_tables() -> str:
    """Return the columns of the tables that stages make, as Markdown: a section a table."""
    parts = []
    for module in COLUMNS:
        for table in importlib.import_module(module).TABLES:
            parts.append(_columns(table))
    return "\n".join(parts)


def _columns(table: Table) -> str:
    about = f"{table.about} Made by `{table.made_by}`."
    lines = [f"### `{table.name}`\n", f"{about}\n"]
    lines += ["| column | dtype | what it is |", "| --- " * 3 + "|"]
    for one in table.columns:
        lines.append(f"| `{one.name}` | {one.dtype} | {_cell(one.meaning)} |")
    if table.more:
        lines.append(f"| … | | {_cell(table.more)} |")
    return "\n".join(lines) + "\n"


def stages_page(text: str) -> str:
    """Return docs/pipeline.md with the tables of columns made anew."""
    return _between(text, BEGIN_COLUMNS, END_COLUMNS, columns_tables())


def commands_page() -> str:
    """Return the reference of all commands and their options, as Markdown."""
    parts = [
        "# Commands\n\nWritten by `python -m evenface.reference` from the commands themselves; each"
        " also has `--help`.\n"
    ]
    for package in GROUPS:
        group = importlib.import_module(f"{package}.cli").main
        parts.append(f"## `{package}`\n\n{_first_line(group.callback)}\n")
        for name, command in sorted(group.commands.items()):
            parts.append(_command(package, name, command))
    return "\n".join(parts)


def _command(package: str, name: str, command: click.Command) -> str:
    ctx = click.Context(command, info_name=f"{package} {name}")
    text = inspect.cleandoc(command.help or "")
    words, _, example = text.partition("\b\n")
    lines = [f"### `{package} {name}`\n", words.strip() + "\n"]
    if example:
        lines.append(f"```sh\n{example.strip()}\n```\n")
    lines += ["| option | takes | default | what it is |", "| --- " * 4 + "|"]
    for param in command.params:
        if isinstance(param, click.Option):
            names = "/".join([*param.opts[-1:], *param.secondary_opts[-1:]])
            takes = "" if param.is_flag else param.make_metavar(ctx)
            help_text = param.help or ""
        else:
            names, takes = param.make_metavar(ctx), ""
            help_text = "Said without an option; see above."
        default = _default_text(param)
        lines.append(f"| `{names}` | {_cell(takes)} | {_cell(default)} | {_cell(help_text)} |")
    return "\n".join(lines) + "\n"


def _default_text(param: click.Parameter) -> str:
    if param.required:
        return "needed"
    if isinstance(param, click.Option) and isinstance(param.show_default, str):
        return param.show_default
    default = param.to_info_dict().get("default")
    if default in (None, "") or callable(default) or param.multiple:
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"`{default}`"


def api_page() -> str:
    """Return the reference of what the packages offer in Python, as Markdown."""
    parts = [
        "# Python\n\nWritten by `python -m evenface.reference` from what each package offers."
        " Nothing is loaded before it is asked for; types are known to editors and type checkers;"
        " input that cannot be used raises `facekit.DataError`. Fields of options are described"
        " with the commands that take them: [commands.md](commands.md).\n"
    ]
    for package in PACKAGES:
        module = importlib.import_module(package)
        parts.append(f"## `{package}`\n\n{_as_markdown(inspect.getdoc(module) or '')}\n")
        found = offers(Path(str(module.__file__)).with_suffix(".pyi"))
        defined = [(one.name, one.module, *_defined(one)) for one in found]
        for title, kind in (("Functions", ast.FunctionDef), ("Classes", ast.ClassDef)):
            rows = sorted(_offer_row(*one) for one in defined if isinstance(one[2], kind))
            if rows:
                parts.append(f"### {title} of {package}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _as_markdown(text: str) -> str:
    """Return a docstring with its examples as blocks of Python."""
    found: list[str] = []
    for block in re.split(r"\n\n(?=\S)", text):
        words, _, code = block.partition("\n\n    ")
        found.append(words)
        if code:
            found.append("```python\n" + inspect.cleandoc(f"    {code}") + "\n```")
    return "\n\n".join(found)


def _defined(offer: Offer) -> tuple[ast.stmt, Path]:
    """Return the definition behind an offer, and its file; nothing is imported but its folder."""
    spec = importlib.util.find_spec(offer.module)
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if getattr(node, "name", None) == offer.definition:
            return node, path
    for passed_on in offers(path):
        if passed_on.name == offer.definition:
            return _defined(passed_on)
    raise ValueError(f"{offer.module} has no {offer.definition}")


def _offer_row(name: str, module: str, node: ast.stmt, path: Path) -> str:
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    call = name
    if isinstance(node, ast.FunctionDef):
        call = f"{name}({ast.unparse(node.args)})"
        call += f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    link = "../" + path.relative_to(Path(__file__).parents[1]).as_posix()
    first = (ast.get_docstring(node) or "").partition("\n")[0]
    return f"- `{call}`  \n  {first} ([{module}]({link}))"


def pages() -> dict[Path, str]:
    """Return everything that is written from the code, by its file."""
    return {
        SCHEMA: schema(),
        SETTINGS: settings_page(SETTINGS.read_text(encoding="utf-8")),
        COMMANDS: commands_page(),
        API: api_page(),
        STAGES: stages_page(STAGES.read_text(encoding="utf-8")),
    }


def main() -> None:
    """Write everything anew that is not current."""
    for path, text in pages().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(text, path)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
