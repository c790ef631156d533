"""What a file is by its first bytes, in words: for what has another name, or is not all there."""

from pathlib import Path

HEAD = 4096  # bytes looked at
ZIP, PARQUET, WORKBOOK = "a ZIP archive", "a Parquet table", "an Excel workbook"
ARRAY, PICKLE = "a numpy array", "a pickle"
PICTURE, UNREAD = "picture", "image of a format that is not read"
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
    (b"GIF87a", f"a GIF {PICTURE}"),
    (b"GIF89a", f"a GIF {PICTURE}"),
    (b"II*\0", f"a TIFF {PICTURE}"),
    (b"MM\0*", f"a TIFF {PICTURE}"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", f"a JPEG 2000 {PICTURE}"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", f"a JPEG XL {UNREAD}"),
    (b"8BPS", f"a Photoshop {UNREAD}"),
    (b"<svg", f"an SVG {UNREAD}"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file by `git lfs pull`"),
)
PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))
PAGES = (b"<!doctype html", b"<html")
OF_ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
OF_BMP = (12, 40, 52, 56, 64, 108, 124)  # bytes of its second heading
BRANDS = {  # of files in ISO's container, at byte 8
    b"avif": f"an AVIF {PICTURE}",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), f"a HEIC {UNREAD}"),
}
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
    if head.startswith(PICKLES) and head[8:9] != b"{":  # no length of a safetensors heading
        return PICKLE
    if head[4:8] == b"ftyp" and head[8:12] in BRANDS:
        return BRANDS[head[8:12]]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return f"a WebP {PICTURE}"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in OF_BMP:
        return f"a BMP {PICTURE}"
    return next((kind for start, kind in STARTS if head.startswith(start)), None)


def is_picture(kind: str | None) -> bool:
    """Tell whether what was described is a picture, of a format that is read or not."""
    return kind is not None and kind.endswith((f" {PICTURE}", UNREAD))


def of_file(path: str | Path) -> str | None:
    """Return what a file is, as `describe`.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return describe(file.read(HEAD))
