"""Compiling C++ and CUDA sources of operators: once a machine, kept in a folder of the user.

A build is known by a digest of all that it depends on, so that another compiler, processor or
version of PyTorch means another build. Processes that want the same one wait for each other by a
lock of the operating system, which ends with the process that holds it. A build that failed is
remembered, with the reason, until something it depends on changes.
"""

import contextlib
import fcntl
import functools
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from facekit.showing import shown
from facekit.storage import files

SWITCH_VARIABLE = "EVENFACE_OPERATORS"  # `composed`: never use the compiled ones
CACHE_VARIABLE = "EVENFACE_CACHE_DIR"  # another folder than ~/.cache/evenface
LIBRARY = "operators.so"
FAILURE = "failed.txt"
TIMEOUT = 1800  # seconds; the builds take half a minute

CXX_FLAGS = ("-O3", "-std=c++20", "-fno-math-errno", "-fno-trapping-math", "-Wall")
CPU_FLAGS = ("-fopenmp", "-march=native")
NVCC_FLAGS = ("-O3", "-std=c++20", "--expt-relaxed-constexpr", "-Xptxas=-v")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Operators:
    """Operators that are compiled together.

    Attributes:
        name: begins the names of their builds.
        title: what messages call them.
        kind: of device: cpu or cuda.
        folder: of the sources.
        sources: names of files there; what does not end in .h is compiled.
        again: how to have a build that failed tried again; `{folder}` stands for the build's.
    """

    name: str
    title: str
    kind: str
    folder: Path
    sources: tuple[str, ...]
    again: str


class BuildError(Exception):
    """The operators cannot be compiled; the message says why and how to mend it.

    Attributes:
        is_new: found out now, and not remembered from an earlier process.
    """

    def __init__(self, message: str, is_new: bool) -> None:
        super().__init__(message)
        self.is_new = is_new


@dataclass(frozen=True)
class Recipe:
    """All that a build depends on.

    Attributes:
        operators: that are built.
        compilers: path and version of each compiler.
        target: what the code is made for: macros of the processor, or CUDA architectures.
        missing: why it cannot be tried at all; None if it can.
    """

    operators: Operators
    compilers: tuple[tuple[str, str], ...]
    target: str
    missing: str | None

    @property
    def digest(self) -> str:
        """Name of the build."""
        flags = (CXX_FLAGS, CPU_FLAGS, NVCC_FLAGS)
        text = repr((self.compilers, self.target, flags, torch.__version__, sys.version_info[:2]))
        state = hashlib.sha256(text.encode())
        for name in self.operators.sources:
            state.update((self.operators.folder / name).read_bytes())
        return f"{self.operators.name}-{state.hexdigest()[:20]}"

    @property
    def folder(self) -> Path:
        """Where the build is kept."""
        return cache_dir() / self.digest


def cache_dir() -> Path:
    """Return the folder of all builds."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evenface"
    return Path(os.environ.get(CACHE_VARIABLE) or default) / "operators"


def is_wanted() -> bool:
    """Tell whether the environment lets compiled operators be used."""
    return os.environ.get(SWITCH_VARIABLE) != "composed"


@functools.cache
def recipe(operators: Operators) -> Recipe:
    """Return what a build depends on here; the CUDA one is for the GPUs that there are."""
    cxx = cxx_name()
    compilers = [find_compiler(cxx)]
    missing = None
    if compilers[0] is None:
        missing = f"there is no C++ compiler ({cxx}); install one, such as `apt-get install g++`"
    if operators.kind == "cpu":
        path, _ = compilers[0] or (cxx, "")
        target = _output(path, "-march=native", "-dM", "-E", "-x", "c++", "/dev/null") or ""
    else:
        compilers.append(find_compiler("nvcc"))
        if compilers[1] is None and missing is None:
            missing = f"there is no nvcc; install the CUDA toolkit {torch.version.cuda}"
        target = os.environ.get("TORCH_CUDA_ARCH_LIST") or _architectures()
    if find_compiler("ninja") is None and missing is None:
        missing = "there is no ninja; install it by `pip install ninja`"
    known = tuple(compiler for compiler in compilers if compiler is not None)
    return Recipe(operators, known, target, missing)


def cxx_name() -> str:
    """Return the command that compiles C++."""
    return os.environ.get("CXX", "c++")


def find_compiler(name: str) -> tuple[str, str] | None:
    """Return path and version of a compiler, or of ninja; None if it is not there or fails."""
    path = shutil.which(name, path=_search_path())
    if path is None:
        return None
    version = _output(path, "--version")
    return None if version is None else (path, version)


def _architectures() -> str:
    devices = range(torch.cuda.device_count())
    found = {"{}.{}".format(*torch.cuda.get_device_capability(device)) for device in devices}
    return ";".join(sorted(found))


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@functools.cache
def is_ready(operators: Operators) -> bool:
    """Tell whether there are compiled operators to be used, and load them.

    If they cannot be compiled the log says so, once a process.
    """
    if not is_wanted():
        return False
    try:
        load(operators)
    except BuildError as error:
        log.warning("%s", error)
        return False
    return True


def load(operators: Operators, anew: bool = False) -> None:
    """Load compiled operators into this process; see `library`.

    Raises:
        BuildError: there are none.
    """
    path = library(operators, anew)
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        message = explain(operators, f"{path} does not load: {error}", None)
        raise BuildError(message, is_new=True) from None


def library(operators: Operators, anew: bool = False) -> Path:
    """Return the compiled library, which is built if it is not there yet.

    Args:
        operators: that it has.
        anew: build also what is there, or failed before.

    Raises:
        BuildError: it cannot be built.
    """
    wanted = recipe(operators)
    path = wanted.folder / LIBRARY
    if path.exists() and not anew:
        return path
    if wanted.missing is not None:
        raise BuildError(explain(operators, wanted.missing, None), is_new=True)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with _locked(wanted.folder.with_suffix(".lock")):
            if anew:
                path.unlink(missing_ok=True)  # stays open where it is in use
                (wanted.folder / FAILURE).unlink(missing_ok=True)
            if not path.exists():  # nobody built it while we waited
                _build(wanted)
    except OSError as error:
        reason = f"{error}; set {CACHE_VARIABLE} to a folder that can be written to"
        raise BuildError(explain(operators, reason, None), is_new=True) from None
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for the process that compiles the operators (%s)", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(wanted: Recipe) -> None:
    failure = wanted.folder / FAILURE
    if failure.exists():
        raise BuildError(failure.read_text(encoding="utf-8"), is_new=False)
    log.info("compiling the %s, once on this machine", wanted.operators.title)
    start = time.monotonic()
    prefix = f"{wanted.digest}.building-"
    for left in cache_dir().glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=cache_dir(), prefix=prefix, ignore_cleanup_errors=True
    ) as folder:
        reason, output = _compile(wanted, Path(folder))
        built = Path(folder) / LIBRARY
        wanted.folder.mkdir(exist_ok=True)
        files.write_text(output, wanted.folder / "build.log")
        if reason is not None:
            message = explain(wanted.operators, reason, wanted.folder / "build.log")
            files.write_text(message, failure)
            raise BuildError(message, is_new=True)
        built.replace(wanted.folder / LIBRARY)
    log.info("compiled in %.0f s: %s", time.monotonic() - start, wanted.folder)


def _compile(wanted: Recipe, folder: Path) -> tuple[str | None, str]:
    """Return why compiling failed (None if it did not) and what it printed."""
    operators = wanted.operators
    sources = [str(operators.folder / one) for one in operators.sources if not one.endswith(".h")]
    command = [sys.executable, "-m", "facekit.compute.build", operators.kind, str(folder), *sources]
    try:
        done = subprocess.run(
            command,
            env=_environment(wanted),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        printed: str | bytes = error.stdout or ""
        output = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
        return f"it took longer than {TIMEOUT} s", output
    if done.returncode == 0 and (folder / LIBRARY).exists():
        return None, done.stdout
    if done.returncode < 0:
        return f"the compiler was stopped by signal {-done.returncode}", done.stdout
    return _first_error(done.stdout), done.stdout


@shown
def _first_error(output: str) -> str:
    """Return the line that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"\berror\b[:\s]", r"Error\b", r"not found|cannot"):
        for line in lines:
            if re.search(pattern, line) and "ninja: build stopped" not in line:
                return line
    return lines[-1] if lines else "the compiler said nothing"


@shown
def explain(operators: Operators, reason: str, log_path: Path | None) -> str:
    """Return the paragraph that says what failed and how to mend it."""
    more = "" if log_path is None else f" All of the compiler's output: {log_path}."
    again = operators.again.format(folder=recipe(operators).folder)
    return (
        f"The {operators.title} could not be compiled: {reason}.{more} Everything works without"
        f" them, by PyTorch's own operators, only slower. Once the reason is mended, {again}."
    )


def _search_path() -> str:
    # The environment's ninja is found also where the environment is not activated.
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _environment(wanted: Recipe) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    values = {
        **os.environ,
        "PATH": _search_path(),
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "MAX_JOBS": str(os.cpu_count() or 1),
    }
    if wanted.operators.kind == "cuda":
        values["TORCH_CUDA_ARCH_LIST"] = wanted.target
        home = os.environ.get("CUDA_HOME") or toolkit_root()
        if home is not None:
            values["CUDA_HOME"] = home
            folders = [f"{home}/lib64", f"{home}/lib"]
            old = [os.environ.get("LIBRARY_PATH", "")]
            values["LIBRARY_PATH"] = os.pathsep.join(filter(None, folders + old))
    return values


def toolkit_root() -> str | None:
    """Return the folder of the CUDA toolkit that the nvcc on the PATH starts."""
    nvcc = shutil.which("nvcc", path=_search_path())
    if nvcc is None:
        return None
    command = [nvcc, "--dryrun", "-E", "-x", "cu", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    top = re.search(r"^#\$ TOP=(.+)$", done.stderr, re.MULTILINE)
    return str(Path(top[1]).resolve()) if top else None


def compile_here(kind: str, folder: str, sources: list[str]) -> None:
    """Compile into a folder and load the result once, in a process made for this."""
    from torch.utils import cpp_extension

    cpp_extension.load(
        LIBRARY.removesuffix(".so"),
        sources,
        extra_cflags=[*CXX_FLAGS, *(CPU_FLAGS if kind == "cpu" else ())],
        extra_cuda_cflags=list(NVCC_FLAGS),
        extra_ldflags=["-fopenmp"] if kind == "cpu" else [],
        build_directory=folder,
        is_python_module=False,
        verbose=True,
    )


if __name__ == "__main__":
    compile_here(sys.argv[1], sys.argv[2], sys.argv[3:])
