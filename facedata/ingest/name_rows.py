"""Reading labels from the names of files, for the adapter `file_names`."""

from pathlib import Path

from facedata.ingest import table_rows
from facedata.ingest.adapters import Ingested
from facedata.ingest.adapters.file_names import FileNames, fields_of, matcher
from facedata.ingest.adapters.reading import Log
from facedata.ingest.finding import Finder
from facekit.errors import DataError
from facekit.storage.walking import Files, also, join

PATH = ""  # heading of the paths; no field is called so


def read_names(adapter: FileNames, root: Path) -> Ingested:
    """Read the names of all pictures below a folder, also of those in ZIP archives.

    Args:
        adapter: the pattern, and which of its fields are attributes.
        root: folder of the data set.

    Raises:
        DataError: no picture is called as the pattern says.
    """
    files, log = Files(root), Log()
    expression = matcher(adapter.pattern)
    records: list[list[str]] = []
    others: set[str | None] = set()
    for path in pictures(files):
        found = expression.fullmatch(path)
        if found is None:
            log.reject(path, None, "malformed_name", f"expected {adapter.pattern}")
            others.add(path)
        else:
            records.append([path, *found.groups()])
    if not records:
        first = min(filter(None, others), default="")
        among = f"; found {first} and {len(others) - 1} others" if others else ""
        raise DataError(
            f"{root}: no pictures called {adapter.pattern}, also not below it{among}"
            f"{also(files.passed_over)}"
        )
    heading = [PATH, *fields_of(adapter.pattern)]
    return table_rows.read_records(
        adapter, root, heading, iter(records), PATH, Finder(files), log, others
    )


def pictures(files: Files) -> list[str]:
    """Return the paths of the images in folders, then of those in archives.

    Archives are looked for at the top and in the folders right there.
    """
    folders = ["", *files.folders("")]
    packed = [join(folder, name) for folder in folders for name in files.archives(folder)]
    return files.images("") + [path for archive in packed for path in files.images(archive)]
