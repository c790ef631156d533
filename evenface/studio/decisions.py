"""The reviewer's list, saved from the review page to where the next run reads it."""

import hashlib
import tempfile
from pathlib import Path

from evenface.studio.folders import Folders
from facedata.curation import curate
from facekit.errors import DataError
from facekit.storage import files

PAGE = "review.html"
RECORD = "review.saved.json"  # digest of the list that was saved from here last
LIST = "curation.csv"


def list_path(folders: Folders) -> Path:
    """Return where the reviewer's list of a run belongs.

    Raises:
        DataError: the run has no review page, or its record does not tell.
    """
    record = (folders.results / PAGE).with_suffix(".run.json")
    if not record.is_file():
        raise DataError(f"{record}: no such file; make the review page by `evenface run review`")
    saved_as = files.read_json(record).get("values", {}).get("saved_as")
    if not isinstance(saved_as, str) or Path(saved_as).name != LIST:
        raise DataError(f"{record}: saved_as is {saved_as!r}, expected a path of {LIST}")
    return folders.started_in / saved_as


def save(text: str, folders: Folders) -> tuple[Path, int]:
    """Save the list of the review page; return where it lies and how many rows it has.

    Args:
        text: CSV with the columns of a reviewer's list.
        folders: of the run.

    Raises:
        DataError: it is no such list, or the one that lies there was edited after the page was
            made, by other hands: nothing of that is lost.
    """
    path, page = list_path(folders), folders.results / PAGE
    record = folders.results / RECORD
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / LIST
        files.write_text(text, draft)
        num_rows = len(curate.review_rows(draft))
    known = files.read_json(record).get("blake2b") if record.is_file() else None
    is_newer = path.is_file() and path.stat().st_mtime > page.stat().st_mtime
    if is_newer and _digest(path.read_bytes()) != known:
        raise DataError(
            f"{path}: was changed after the review page was made; make the page again by"
            " `evenface run review`, or save the list as a file and put both together"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(text, path)
    files.write_json({"blake2b": _digest(text.encode())}, record)
    return path, num_rows


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
