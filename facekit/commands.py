"""What the three command groups share: option types, one-line errors, logging, run records."""

import contextlib
import errno
import functools
import io
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

from facekit import paths, runs
from facekit.compute import instructions, waiting
from facekit.errors import MAX_LENGTH, DataError, reason_of
from facekit.options import TOO_LARGE, Options, shown
from facekit.paths import IN_DIR, IN_FILE, OUT_DIR, OUT_FILE, OutFile
from facekit.storage import files


class Finite(click.FloatRange):
    """A number that is neither nan nor infinite, in a range if one is given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is no finite number.", param, ctx)
        return number


SHARE = Finite(0, 1, min_open=True, max_open=True)


class AtLeast(click.IntRange):
    """A whole number that is no smaller than another, and none that no machine can count to."""

    def __init__(self, min: int, max: int = TOO_LARGE - 1) -> None:
        super().__init__(min, max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            most = "" if self.max == TOO_LARGE - 1 else f" <= {self.max}"
            self.fail(f"{shown(value)} is not integer >= {self.min}{most}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands behind the option in the help."""
        return f"INTEGER >= {self.min}"

    def _describe_range(self) -> str:
        return ""  # said already


NO_MEMORY = ("out of memory", "can't allocate memory")  # as torch says it
WORDS = "facekit.commands.words"  # of a command line, in its context

SEED = AtLeast(min=0)
NUM_WORKERS = AtLeast(min=1, max=10_000)


def in_file(flag: str, help: str, *names: str, required: bool = True, **more: Any) -> Callable:
    """Return an option for a file to read; `more` goes to click."""
    return click.option(flag, *names, type=IN_FILE, required=required, help=help, **more)


def out_file(
    flag: str,
    help: str,
    *names: str,
    required: bool = True,
    suffixes: Sequence[str] = (),
    **more: Any,
) -> Callable:
    """Return an option for a file to write, with one of some suffixes; `more` goes to click."""
    kind = OutFile(*suffixes) if suffixes else OUT_FILE
    return click.option(flag, *names, type=kind, required=required, help=f"Output: {help}", **more)


def table_file(flag: str, help: str, *names: str, **more: Any) -> Callable:
    """Return an option for a table to write; `more` goes to `out_file`."""
    return out_file(flag, help, *names, suffixes=paths.TABLES, **more)


def in_dir(flag: str, help: str) -> Callable:
    """Return an option for a folder to read."""
    return click.option(flag, type=IN_DIR, required=True, help=help)


def out_dir(flag: str, help: str) -> Callable:
    """Return an option for a folder to write."""
    return click.option(flag, type=OUT_DIR, required=True, help=f"Output: {help}")


def value(flag: str, kind: Any, help: str, default: Any = None, **more: Any) -> Callable:
    """Return an option that must be given where it has no default; `more` goes to click.

    Args:
        flag: its name, two dashes in front.
        kind: type of its values, str or one of click's.
        help: what it is.
        default: of the option.
    """
    given: dict[str, Any] = {"required": True} if default is None else {"default": default}
    return click.option(flag, type=kind, help=help, **given, **more)


def switch(flags: str, help: str, default: bool = False) -> Callable:
    """Return an option without a value: `--on`, or `--on/--off` where the default is shown."""
    is_shown = "/" in flags
    return click.option(flags, is_flag=True, default=default, show_default=is_shown, help=help)


def seed(help: str, default: int | None = None) -> Callable:
    """Return the option --seed; it must be given where it has no default."""
    return value("--seed", SEED, help, default, show_default=default is not None)


TO_HUB = click.option(
    "--to-hub",
    metavar="OWNER/NAME",
    help="Repository of the Hugging Face Hub that all goes to, too; made where there is none.",
)
PUBLIC = switch("--public", "Let everybody read a repository that --to-hub makes.")


def max_left_out(of: str = "") -> Callable:
    """Return the option --max-left-out of commands that read labels; its help begins with `of`."""
    return click.option(
        "--max-left-out",
        type=Finite(0, 1),
        metavar="SHARE",
        help=f"{of}Most of the rows and files, and of an attribute's labels, that may be left out;"
        " more is an error.",
    )


def group(function: Callable) -> click.Group:
    """Make a function the group of a package's commands."""
    return click.version_option(package_name="evenface")(click.group(cls=Group)(function))


def options(*decorators: Callable) -> Callable:
    """Return one decorator that adds several options, in the order given."""
    return lambda function: reduce(lambda f, decorate: decorate(f), reversed(decorators), function)


DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto (one GPU if any), cpu or cuda."
)


def num_cores() -> int:
    from facekit.compute.workers import num_cores

    return num_cores()


ALL_THREADS = click.option(
    "--threads",
    type=NUM_WORKERS,
    default=num_cores,
    show_default="all cores",
    help="Threads on the CPU; the last bits of a result depend on them.",
)


ALL_WORKERS = click.option(
    "--workers",
    type=NUM_WORKERS,
    default=num_cores,
    show_default="all cores",
    help="Processes or threads.",
)


class Json(click.ParamType):
    """An option whose text is JSON (a list or an object from the config)."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return files.parse_json(value)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


class Names(Json):
    """A JSON list of names, or the word `all`."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "all" else super().convert(value, param, ctx)


JSON = Json()
NAMES = Names()


class Command(click.Command):
    """A command whose paths are looked at before it begins."""

    def invoke(self, ctx: click.Context) -> Any:
        """Do it."""
        read = paths.check(ctx)
        try:
            with files.kept(read):
                return super().invoke(ctx)
        except OSError as error:
            if error.errno in (None, errno.EPIPE):
                raise
            # What names no file was mostly written: the system does not say to which.
            place = error.filename or ", ".join(paths.outputs(ctx)) or ctx.command_path
            raise DataError(f"{place}: {os.strerror(error.errno)}") from error


class Group(click.Group):
    """A command group that logs to stderr and turns what goes wrong into one line.

    Exit codes: 1 for what a command met, 2 for a command line that is wrong, 130 for Ctrl-C.
    """

    command_class = Command

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **more: Any
    ) -> click.Context:
        """Return the context of a command line, which `again` repeats."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # that may not know a name's letters
                stream.reconfigure(errors="backslashreplace")
        words = list(args)
        ctx = super().make_context(info_name, args, *rest, **more)
        ctx.meta[WORDS] = words
        return ctx

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command and what it does, on as many lines as that takes."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(MAX_LENGTH)) for name, one in found.items() if one]
            )

    def invoke(self, ctx: click.Context) -> Any:
        waiting.yield_cores()  # no command has loaded torch yet
        instructions.keep_from_amx()
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
        )
        logging.raiseExceptions = False  # a log that cannot be written stops nothing
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            text = error.format_message()
            if len(text) <= MAX_LENGTH:
                raise
            raise click.UsageError(str(DataError(text)), error.ctx) from None
        except DataError as error:
            _tell(str(error))
            sys.exit(1)
        except (MemoryError, RuntimeError) as error:
            reason = str(DataError(error))
            if isinstance(error, RuntimeError) and not any(one in reason for one in NO_MEMORY):
                raise
            _tell(f"no memory is left: {reason_of(reason)}; hold less at a time")
            sys.exit(1)
        except KeyboardInterrupt:
            _tell("stopped by the user")
            sys.exit(130)


def _tell(text: str) -> None:
    """Say what went wrong on standard error, or, where that is a log on a full disk, on output."""
    try:
        click.echo(f"error: {text}", err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  it would be flushed at the end
        with contextlib.suppress(OSError):
            click.echo(f"error: {text}")


def again() -> list[str]:
    """Return the words of a program that does what the command that runs does."""
    ctx = click.get_current_context()
    module = ctx.find_root().command.callback.__module__
    program = f"from {module} import main; main()"
    return [sys.executable, "-c", program, *ctx.meta[WORDS]]


def recorded(option: str, name: str | None = None) -> Callable:
    """Decorate a command so that a run record lies beside the output that `option` names.

    Args:
        option: parameter with the output's path; `splits.parquet` gives `splits.run.json`.
        name: file name of the record in the output's folder instead, such as `run.json`
            (for an option that names a folder: in that folder).
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(**values: Any) -> Any:
            output = Path(values[option])
            if name is None:
                path = runs.run_path(output)
            else:
                path = (output if _is_folder(option) else output.parent) / name
            with runs.record(path, flat(values)):
                return function(**values)

        return wrapper

    return decorate


def _is_folder(option: str) -> bool:
    """Tell whether an option of the command that runs names a folder, whatever its name is."""
    params = click.get_current_context().command.params
    kind = next(param.type for param in params if param.name == option)
    return isinstance(kind, click.Path) and not kind.file_okay


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return a command's values with those of its options beside the others."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= value.plain() if isinstance(value, Options) else {name: value}
    return flat
