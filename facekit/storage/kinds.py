"""What a file is by its first bytes, in words: for what has another name, or is not all there."""

from pathlib import Path

HEAD = 4096  # bytes looked at
ZIP, PARQUET, WORKBOOK = "a ZIP archive", "a Parquet table", "an Excel workbook"
ARRAY = "a numpy array"
PICTURE = "picture"
TAR, TAR_AT = b"ustar", 257  # of the heading of a tape archive
STARTS = (
    (b"PAR1", PARQUET),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"{WORKBOOK} (.xls)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x93NUMPY", ARRAY),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "a text document (.rtf)"),
    (b"\x89PNG\r\n\x1a\n", f"a PNG {PICTURE}"),
    (b"\xff\xd8\xff", f"a JPEG {PICTURE}"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file by `git lfs pull`"),
)
PAGES = (b"<!doctype html", b"<html")
OF_ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
OF_WORKBOOK = (b"xl/", b"[Content_Types].xml")


def describe(head: bytes) -> str | None:
    """Return what a file is, such as 'a RAR archive'; None: text, or nothing that is known.

    Args:
        head: its first HEAD bytes.
    """
    if not head:
        return "an empty file"
    if head.startswith(OF_ZIP):
        return f"{WORKBOOK} (.xlsx)" if any(name in head for name in OF_WORKBOOK) else ZIP
    if head[TAR_AT : TAR_AT + len(TAR)] == TAR:
        return "a tar archive"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return "a web page: the download failed"
    return next((kind for start, kind in STARTS if head.startswith(start)), None)


def is_picture(kind: str | None) -> bool:
    """Tell whether what was described is a picture."""
    return kind is not None and kind.endswith(f" {PICTURE}")


def of_file(path: str | Path) -> str | None:
    """Return what a file is, as `describe`.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return describe(file.read(HEAD))
