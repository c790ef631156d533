"""Drills: a stage is stopped at a chosen moment, and run again it ends as if nothing happened."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

INJECTED = Path(__file__).with_name("injected")
# What tells of the run itself: when it was, and how long it took.
OF_THE_RUN = ("*run.json", "events.out.tfevents.*")
TIMES = ("sec", "time", "eta", "memory")  # parts of keys of stats.jsonl
LIMIT = 600  # seconds for a command


@dataclass(frozen=True)
class Stage:
    """A command that made files of a results folder, as its run.json tells.

    Attributes:
        name: of the stage, such as `split` or `round0/gan`.
        command: its words; the first is the program.
    """

    name: str
    command: tuple[str, ...]


def stages_of(root: Path) -> list[Stage]:
    """Return what made a results folder, in the order in which it was done."""
    found = []
    for path in sorted(root.rglob("*run.json"), key=lambda one: one.stat().st_mtime_ns):
        name = str(path.relative_to(root)).removesuffix("run.json").rstrip("./")
        program, *words = json.loads(path.read_text())["command"]
        own = Path(sys.executable).with_name(Path(program).name)
        found.append(Stage(name, (str(own), *words)))
    return found


@dataclass
class Drill:
    """One stage in a copy of a project that has been run.

    Attributes:
        stage: that is drilled.
        project: folder with `results/`; the stage's command runs in it.
        outputs: files that the stage makes, relative to the project.
        expected: their digests after a run that nothing disturbed.
        changes: how many times that run changed the file system.
    """

    stage: Stage
    project: Path
    outputs: list[str] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    changes: int = 0

    def prepare(self) -> None:
        """Learn what the stage makes, by running it twice: over its outputs, and from nothing."""
        before = stamps(self.project)
        self.finish()
        after = stamps(self.project)
        self.outputs = sorted(one for one in after if after[one] != before.get(one))
        self.clear()
        count = self.project / "changes"
        done = self.start(DRILL_COUNT=str(count)).wait(LIMIT)
        assert done == 0, f"{self.stage.name}: exit {done}"
        self.changes = int(count.read_text())
        count.unlink()
        self.expected = digests(self.project)
        assert self.changes and self.outputs

    def clear(self) -> None:
        """Remove what the stage made, and the folders that are empty then."""
        for name in self.outputs:
            (self.project / name).unlink(missing_ok=True)
            for folder in (self.project / name).parents:
                if not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def start(self, **environment: str) -> subprocess.Popen:
        """Start the stage's command in a group of processes of its own."""
        log = (self.project / "log").open("ab")
        return subprocess.Popen(
            self.stage.command,
            cwd=self.project,
            env=os.environ
            | {"PYTHONPATH": str(INJECTED), "DRILL_FOLDER": str(self.project / "results")}
            | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def finish(self) -> None:
        """Run the command as a user does again, to its end."""
        done = self.start().wait(LIMIT)
        assert done == 0, f"{self.stage.name}: exit {done}\n{self.log()[-4000:]}"

    def log(self) -> str:
        """Return what the commands printed."""
        path = self.project / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def check(self, what: str) -> None:
        """Fail where the results differ from those of a run that nothing disturbed."""
        found = digests(self.project)
        differ = sorted(
            name
            for name in found.keys() | self.expected.keys()
            if found.get(name) != self.expected.get(name)
        )
        assert not differ, f"{self.stage.name}, {what}: {', '.join(differ)} differ or are left over"

    def kill(self, number: int) -> None:
        """Kill the command before its change of the file system with a number; run it again."""
        self.clear()
        done = self.start(DRILL_KILL=str(number)).wait(LIMIT)
        assert done == -signal.SIGKILL, f"{self.stage.name}: not killed at {number}: {done}"
        self.finish()
        self.check(f"killed before change {number} of {self.changes}")

    def stop(self, number: signal.Signals, after: float, within: float) -> None:
        """Send a signal to the command's group after some seconds; it must end soon; go on.

        Args:
            number: of the signal.
            after: seconds.
            within: seconds in which it has to end.
        """
        self.clear()
        running = self.start()
        try:
            running.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, number)
        start = time.monotonic()
        try:
            running.wait(within)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise AssertionError(f"{self.stage.name}: {number.name} did not end it") from None
        assert time.monotonic() - start <= within
        self.finish()
        self.check(f"{number.name} after {after:.1f} s")

    def both(self) -> None:
        """Run the command twice at once: both end, and the result is that of one."""
        self.clear()
        running = [self.start(), self.start()]
        codes = sorted(one.wait(LIMIT) for one in running)
        assert codes[0] == 0 and codes[1] in (0, 1), f"{self.stage.name}: {codes} {self.log()}"
        self.check("two at once")


def stamps(project: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of each file of the results."""
    found = {}
    for path in (project / "results").rglob("*"):
        if path.is_file():
            state = path.stat()
            found[str(path.relative_to(project))] = (state.st_ino, state.st_mtime_ns)
    return found


def digests(project: Path) -> dict[str, str]:
    """Return a digest of each file of the results, those of the run itself left out."""
    return {
        str(path.relative_to(project)): digest(path)
        for path in sorted((project / "results").rglob("*"))
        if path.is_file() and not any(path.match(one) for one in OF_THE_RUN)
    }


def digest(path: Path) -> str:
    """Return the digest of a file; of a line a tick without its times."""
    data = path.read_bytes()
    if path.name == "stats.jsonl":
        lines = [json.loads(one) for one in data.splitlines()]
        kept = [
            {key: value for key, value in one.items() if not any(part in key for part in TIMES)}
            for one in lines
        ]
        data = json.dumps(kept).encode()
    return hashlib.sha256(data).hexdigest()


def copy_project(source: Path, target: Path) -> Path:
    """Copy results and what they were made from."""
    for name in ("results", "resources", "config"):
        if (source / name).exists():
            shutil.copytree(source / name, target / name, symlinks=True)
    return target


class SmallDisk:
    """A file system of its own, whose size can be set; needs the right to mount one."""

    def __init__(self, folder: Path) -> None:
        """Make it at a folder.

        Raises:
            PermissionError: nothing can be mounted here.
        """
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1g", "drill", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise PermissionError(done.stderr.strip())

    @property
    def used(self) -> int:
        """Bytes that are used."""
        state = os.statvfs(self.folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def resize(self, size: int) -> None:
        """Make it as large as some bytes."""
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)

    def close(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def fill(drill: Drill, disk: SmallDisk, room: int) -> None:
    """Run a stage on a disk that has room for some bytes more; then with space again.

    It must end with one line that names a file and the reason, and keep no half of anything.
    """
    disk.resize(1 << 30)
    drill.clear()
    start = len(drill.log())
    before = digests(drill.project)
    disk.resize(disk.used + room)
    code = drill.start().wait(LIMIT)
    disk.resize(1 << 30)
    last = drill.log()[start:].strip().splitlines()[-1:]
    assert code == 1, f"{drill.stage.name}: exit {code} on a full disk"
    assert last and last[0].startswith("error: ") and "No space left on device" in last[0], (
        f"{drill.stage.name}: {last}"
    )
    parts = [name for name in digests(drill.project) if name.endswith(".part")]
    assert not parts, f"{drill.stage.name}: left {parts}"
    assert before.items() <= digests(drill.project).items(), f"{drill.stage.name}: changed others"
    drill.finish()
    drill.check(f"full disk, {room} bytes")


def run_and_kill(folder: Path, config: tuple[str, ...], after: float | None) -> int:
    """Run the whole pipeline in a folder, as `evenface run` does; return how it ended.

    Args:
        folder: a copy of the project.
        config: words that name the configs.
        after: seconds after which it and all that it started are killed; None: never.
    """
    command = [Path(sys.executable).with_name("evenface"), "run", "--cores", "2", *config]
    log = (folder / "log").open("ab")
    running = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        return running.wait(LIMIT if after is None else after)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        return running.wait()
