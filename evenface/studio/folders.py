"""The folders that the studio shows, and nothing outside of them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evenface import nearby
from facedata.columns import INDEX
from facekit.errors import DataError
from facekit.storage import files, tables

RESULTS, PHOTOGRAPHS = "results", "photographs"  # the roots' names in addresses
SHOWN = (".html", ".jpeg", ".jpg", ".png", ".webp")  # files that a browser shows


def find_run(folder: Path) -> Path:
    """Return the only run in a folder of results, which may have just begun.

    Raises:
        DataError: there is none, or there are several.
    """
    pattern = f"*/{INDEX.name}"
    return nearby.only_run(folder, pattern, f"no run there ({pattern})")


@dataclass(frozen=True)
class Folders:
    """A run's folders.

    Attributes:
        results: of the run, `results/<dataset>`, or a folder of `stylegan2 train` alone.
    """

    results: Path

    @cached_property
    def started_in(self) -> Path:
        """Where the run was started: what its records say is from there."""
        parent = self.results.resolve().parent
        return parent.parent if parent.name == RESULTS else Path.cwd()

    @cached_property
    def photographs(self) -> Path | None:
        """The folder of the data set; None where the run does not tell."""
        record = self.results / f"{Path(INDEX.name).stem}.run.json"
        if not record.is_file():
            return None
        root = files.read_json(record).get("values", {}).get("root")
        return self.started_in / root if isinstance(root, str) else None

    def file(self, root: str, path: str) -> Path | None:
        """Return a file that may be shown; None where there is none within the root.

        Args:
            root: name of one of the roots.
            path: within it. What a link leads out of the root to is not within it.
        """
        folder = {RESULTS: self.results, PHOTOGRAPHS: self.photographs}.get(root)
        if folder is None or "\0" in path:
            return None
        try:
            top = folder.resolve(strict=True)
            found = (top / path).resolve(strict=True)
        except (OSError, RuntimeError):  # not there; links in a circle
            return None
        is_shown = found.suffix.lower() in SHOWN and found.is_file()
        return found if is_shown and found.is_relative_to(top) else None

    def photograph(self, image_id: str) -> str:
        """Return the path of an image of the data set, within its folder.

        Raises:
            DataError: there is no such image.
        """
        path = self.results / INDEX.name
        table = tables.read(path, INDEX, ["image_id", "path"])
        # Of a face that was cut out it is the photograph.
        place = "cut_from" if "cut_from" in table else "path"
        found = table.loc[table["image_id"] == image_id, place]
        if found.empty:
            raise DataError(f"{image_id}: no image of {path}; its image_id is expected")
        return str(found.iloc[0])
