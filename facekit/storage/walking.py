"""The one walker of folders and ZIP archives: what is looked into and what is not, decided once.

- Hidden and system names (`.git`, `__MACOSX`, `Thumbs.db` ...) are passed over, and told.
- Links are followed, but not round and round; one that leads back or nowhere is told.
- A name of bytes that are no UTF-8 is written with escapes, and still found by that name.
- Names are the same whatever their Unicode form (NFC, NFD), and with `/` or `\\`.
- A member of an archive that cannot be read (encrypted, another compression) is told with why.
- What is a picture by its content or by a format that is not read (of cameras, drawings), and what
  stands for one that is elsewhere (iCloud), is told.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from facekit.spelling import plain
from facekit.storage import archives, kinds

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
# Of cameras, drawing programs and formats that are not read: passed over, but never in silence.
UNREAD_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"}
    | {".eps", ".exr", ".icns", ".jxl", ".psd", ".srw", ".svg", ".tga", ".xcf"}
)
ARCHIVE_SUFFIXES = frozenset(
    {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst", ".001"}
)
LABEL_SUFFIXES = frozenset({".csv", ".json", ".jsonl", ".parquet", ".tsv", ".xls", ".xlsx"})
SYSTEM = frozenset(
    {"__macosx", "__pycache__", "@eadir", "#recycle", "#snapshot", "$recycle.bin"}
    | {"system volume information", "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini"}
)
MAX_LINKS = 4  # linked folders within each other
NUM_NAMED = 3  # files that a line names
NUM_LOOKS = 1000  # files of unknown names that are looked into, whether they are pictures
# Why something is passed over, for people.
HIDDEN = "hidden or system"
NOWHERE = "linked to nothing"
BACK = "linked in circles"
CLOSED = "not to be opened"
SPECIAL = "no files (pipes, sockets, devices)"
PACKED = "archives not looked into"
OUTSIDE = "named out of their archive"
UNNAMED = "pictures not called so"  # such as `a` for `a.jpg`
UNREAD = "of formats that are not read"
AWAY = "not downloaded (iCloud)"
TWICE = "twice in their archive, the last one taken"
HARMLESS = (HIDDEN, PACKED, TWICE, SPECIAL)  # no part of what was given
PLACEHOLDER = re.compile(r"\.(.+)\.icloud")  # `.a.jpg.icloud` stands for `a.jpg`


def is_image(name: str) -> bool:
    """Return whether a file is called as images are."""
    return _suffix(name) in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is of a system or program, and no part of a data set."""
    return name.startswith(".") or name.casefold() in SYSTEM


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder; the root is the empty text."""
    return f"{folder}/{name}" if folder else name


def respelled(path: str) -> str:
    """Return a path as it is compared: names in one Unicode form, and slashes between them."""
    return plain(path).replace("\\", "/").removeprefix("./")


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower() if "." in name[1:] else ""


class Files:
    """The files of a data set, by paths relative to its root (posix); ZIP archives are folders too.

    A folder is listed once, when it is first asked for: a look at each of 200,000 files by itself
    would take longer than all else.
    """

    def __init__(self, root: Path) -> None:
        """Remember the root; nothing is listed yet."""
        self.root = os.fspath(root)
        self._listed: dict[str, tuple[set[str], set[str]]] = {}
        self._taken: dict[str, tuple[set[str], set[str]]] = {}  # of those listed
        self._forms: dict[str, dict[str, str]] = {}  # of names in a folder
        self._links: set[str] = set()  # folders
        self._problems: dict[str, str] = {}  # of members of archives
        self._archives: set[str] = set()  # looked into
        self._passed: dict[str, str] = {}  # path -> why
        self._looks = NUM_LOOKS  # that are left

    def path(self, path: str) -> str:
        """Return the path of a file or folder as it can be opened (by `archives`)."""
        return f"{self.root}/{path}" if path else self.root

    def find(self, path: str) -> str | None:
        """Return the path of a file in the spelling that it has there; None if there is none."""
        folder, _, name = path.rpartition("/")
        if name in self._list(folder)[0]:
            return path
        found = self._respelled(path)
        if found is not None and self._is_listed_file(found):
            return found
        # The system may take another spelling too. False for names that no system allows.
        return path if os.path.isfile(archives.on_disk(self.path(path))) else None  # noqa: PTH113

    def is_file(self, path: str) -> bool:
        """Return whether there is such a file."""
        return self.find(path) is not None

    def is_folder(self, path: str) -> bool:
        """Return whether there is such a folder."""
        is_there = os.path.isdir(archives.on_disk(self.path(path)))  # noqa: PTH112
        return is_there or any(self._list(path))

    def problem(self, path: str) -> str | None:
        """Return why a member of an archive cannot be read; None if it can."""
        return self._problems.get(path)

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder; none where there is no such folder."""
        return self._shown(folder)[0]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return sorted(self._shown(folder)[1])

    def archives(self, folder: str) -> list[str]:
        """Return the names of the ZIP archives in a folder, sorted."""
        return sorted(name for name in self.names(folder) if name.lower().endswith(".zip"))

    def images(self, folder: str) -> list[str]:
        """Return the paths of the image files in a folder and all folders below it, sorted."""
        found: list[str] = []
        todo: list[tuple[str, tuple[str, ...]]] = [(folder, ())]  # with what links led there
        while todo:
            folder, trail = todo.pop()
            files, folders = self._shown(folder)
            for name in files:
                if is_image(name):
                    found.append(join(folder, name))
                else:
                    self._look_at(join(folder, name))
            for name in folders:
                below = join(folder, name)
                if below not in self._links:
                    todo.append((below, trail))
                elif self._leads_on(below, folder, trail):
                    todo.append((below, (*trail, self._real(folder))))
        return sorted(found)

    def labels(self, folder: str) -> list[str]:
        """Return the names of the files in a folder that may hold labels, sorted."""
        return sorted(name for name in self.names(folder) if _suffix(name) in LABEL_SUFFIXES)

    @property
    def passed_over(self) -> dict[str, list[str]]:
        """What was met and not taken: sorted paths by why, which is sorted, too."""
        found: dict[str, list[str]] = {}
        for path, why in sorted(self._passed.items(), key=lambda item: item[::-1]):
            if why != PACKED or path not in self._archives:
                found.setdefault(why, []).append(path)
        return found

    def _shown(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names of files and folders that are part of a data set; note the others."""
        if folder in self._taken:
            return self._taken[folder]
        files, folders = self._list(folder)
        left = {name for name in files | folders if is_hidden(name)}
        for name in left:
            away = PLACEHOLDER.fullmatch(name)
            if away is not None and is_image(away[1]):
                self._passed[join(folder, name)] = AWAY
            elif name in folders or is_image(name):
                self._passed[join(folder, name)] = HIDDEN
        for name in files - left:
            if _suffix(name) in ARCHIVE_SUFFIXES:
                self._passed[join(folder, name)] = PACKED
        if self._problems:
            unreadable = {name for name in files - left if join(folder, name) in self._problems}
            for name in unreadable:
                self._passed[join(folder, name)] = self._problems[join(folder, name)]
            left |= unreadable
        self._taken[folder] = (files - left, folders - left) if left else (files, folders)
        return self._taken[folder]

    def _look_at(self, path: str) -> None:
        """Note a picture of a format that is not read, and one that is not called as a picture."""
        if _suffix(path) in UNREAD_SUFFIXES:
            self._passed[path] = UNREAD
        elif self._looks and _suffix(path) not in LABEL_SUFFIXES | ARCHIVE_SUFFIXES:
            self._looks -= 1
            with contextlib.suppress(OSError):
                if kinds.is_picture(kinds.of_file(archives.on_disk(self.path(path)))):
                    self._passed[path] = UNNAMED

    def _real(self, folder: str) -> str:
        return os.path.realpath(archives.on_disk(self.path(folder)))

    def _leads_on(self, link: str, folder: str, trail: tuple[str, ...]) -> bool:
        """Return whether a linked folder leads to anything new."""
        target = self._real(link)
        above = [*trail, self._real(folder)]
        is_back = any(os.path.commonpath([target, one]) == target for one in above)
        if is_back or len(trail) >= MAX_LINKS:
            self._passed[link] = BACK
            return False
        return True

    def _is_listed_file(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self._list(folder)[0]

    def _respelled(self, path: str) -> str | None:
        """Return a path with each of its names as it is there; None if one is not there."""
        found = ""
        for part in path.split("/"):
            files, folders = self._list(found)
            if part not in files and part not in folders:
                if found not in self._forms:
                    self._forms[found] = {plain(name): name for name in sorted(files | folders)}
                if plain(part) not in self._forms[found]:
                    return None
                part = self._forms[found][plain(part)]
            found = join(found, part)
        return found

    def _list(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names of the files and of the folders in a folder."""
        if folder in self._listed:
            return self._listed[folder]
        for match in archives.SUFFIX.finditer(f"{folder}/"):
            archive = folder[: match.end() - 1]
            path = archives.on_disk(self.path(archive))
            if archive not in self._listed and os.path.isfile(path):  # noqa: PTH113
                self._list_archive(archive)
        if folder not in self._listed:
            self._list_folder(folder)
        return self._listed[folder]

    def _list_folder(self, folder: str) -> None:
        files, folders = self._listed[folder] = set(), set()
        try:
            entries = os.scandir(archives.on_disk(self.path(folder)))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return  # no such folder, or a name that no system allows
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                self._passed[folder or self.root] = CLOSED
            return
        with entries:
            for entry in entries:
                name = archives.as_written(entry.name)
                try:
                    if entry.is_dir():
                        folders.add(name)
                        if entry.is_symlink():
                            self._links.add(join(folder, name))
                    elif entry.is_file():
                        files.add(name)
                    else:
                        is_there = os.path.exists(entry.path)  # noqa: PTH110
                        self._passed[join(folder, name)] = SPECIAL if is_there else NOWHERE
                except OSError:
                    self._passed[join(folder, name)] = BACK

    def _list_archive(self, archive: str) -> None:
        self._listed[archive] = (set(), set())
        self._archives.add(archive)
        path = self.path(archive)
        names = archives.names(path)
        problems = archives.problems(path)
        self._passed |= dict.fromkeys(
            (join(archive, member) for member in archives.repeated(path)), TWICE
        )
        for member in names:
            if member.startswith("/") or ".." in member.split("/"):
                self._passed[join(archive, member)] = OUTSIDE
                continue
            if member in problems:
                self._problems[join(archive, member)] = problems[member]
            folder, _, name = join(archive, member).rpartition("/")
            if folder in self._listed:
                self._listed[folder][0].add(name)
                continue
            self._listed[folder] = ({name}, set())
            while folder != archive:
                folder, _, name = folder.rpartition("/")
                self._listed.setdefault(folder, (set(), set()))[1].add(name)


def told(passed_over: Mapping[str, Iterable[str]]) -> str:
    """Return how many files and folders were passed over, why, and the first ones' names."""
    parts = []
    for why, paths in passed_over.items():
        paths = list(paths)
        more = " ..." if len(paths) > NUM_NAMED else ""
        parts.append(f"{len(paths)} {why} ({', '.join(paths[:NUM_NAMED])}{more})")
    return ", ".join(parts)


def also(passed_over: Mapping[str, Iterable[str]]) -> str:
    """Return the end of a message that something is not there: what was passed over."""
    return f"; passed over: {told(passed_over)}" if passed_over else ""
