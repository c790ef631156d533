"""Public reports of data that is lost in silence, by walkers of folders and archives or by tables.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import io
import os
import socket
import zipfile

import numpy as np
import openpyxl
import pytest
from layouts import picture, write
from PIL import Image
from reported import by_table, ingest, pictures, run

from stylegan2.cli import main as stylegan2

NAMES = [f"{number}.jpg" for number in range(4)]
LABELS = ["female", "male", "female", "male"]


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def labelled(names, labels):
    return [["file", "sex"], *map(list, zip(names, labels, strict=True))]


# --- tables


def test_sheets_that_are_not_read_are_told(tmp_path):
    """yakew7/Fair-Code#182."""
    pictures(tmp_path / "root", *NAMES)
    sheets = {"train": labelled(NAMES[:2], LABELS[:2]), "test": labelled(NAMES[2:], LABELS[2:])}
    workbook(tmp_path / "root/labels.xlsx", **sheets)
    code, line, index = by_table(tmp_path, "labels.xlsx")
    assert code == 0 and len(index) == 2
    assert line.endswith("left out: 2 file_without_row; not read: labels.xlsx[test]")


def test_the_sheet_that_has_the_columns_is_read(tmp_path):
    """ExcelDataReader/ExcelDataReader#131: a sheet of definitions, then that of data."""
    pictures(tmp_path / "root", *NAMES)
    about = [["Who", "labelled what"], ["Ann", "all"]]
    workbook(tmp_path / "root/labels.xlsx", About=about, data=labelled(NAMES, LABELS))
    code, line, index = by_table(tmp_path, "labels.xlsx")
    assert code == 0 and index["sex"].tolist() == LABELS
    assert line.endswith("not read: labels.xlsx[About]")


def test_formulas_that_nobody_computed_are_no_missing_labels(tmp_path):
    """pandas-dev/pandas#25763, RUCKBReasoning/SpreadsheetBench#31."""
    pictures(tmp_path / "root", *NAMES)
    rows = labelled(NAMES, [f'=IF(C{row}=1,"female","male")' for row in range(2, 6)])
    workbook(tmp_path / "root/labels.xlsx", data=rows)
    code, line, _ = by_table(tmp_path, "labels.xlsx")
    assert code == 1 and "column 'sex' holds formulas that were never computed" in line
    assert '=IF(C2=1,"female","male") in B2' in line and "save it" in line


def test_labels_that_are_empty_are_missing(tmp_path):
    pictures(tmp_path / "root", *NAMES)
    workbook(tmp_path / "root/labels.xlsx", data=labelled(NAMES, [None] * 4))
    code, line, index = by_table(tmp_path, "labels.xlsx")
    assert code == 0 and index["sex"].isna().all() and "sex missing 4" in line


def test_a_rare_class_that_is_called_otherwise_is_not_lost(tmp_path):
    """pandas-dev/pandas#33696: a label that is no category becomes NaN in silence."""
    names = [f"{number}.jpg" for number in range(8)]
    pictures(tmp_path / "root", *names)
    text = "".join(f"{name},{'M' if name == '7.jpg' else 'female'}\n" for name in names)
    write(tmp_path / "root/labels.csv", f"file,sex\n{text}")
    code, line, _ = by_table(tmp_path, "labels.csv")
    assert code == 1 and "1 of 8 labels cannot be used: found 'M' 1" in line
    assert "no image of male is left; a map that would fit" in line and "map: {M: male}" in line
    code, line, index = by_table(tmp_path, "labels.csv", max_left_out=1.0)
    assert code == 0 and index["sex"].isna().sum() == 1 and "sex set missing 1" in line


def test_zero_bytes_behind_labels_are_no_part_of_them(tmp_path):
    """pandas-dev/pandas#2741: fields of fixed length, filled up with zero bytes."""
    pictures(tmp_path / "root", *NAMES)
    rows = "".join(f"{name},{sex}\0\0\n" for name, sex in zip(NAMES, LABELS, strict=True))
    write(tmp_path / "root/labels.csv", f"file,sex\n{rows}")
    code, _, index = by_table(tmp_path, "labels.csv")
    assert code == 0 and index["sex"].tolist() == LABELS


def test_a_table_in_utf_32_is_read(tmp_path):
    pictures(tmp_path / "root", *NAMES)
    rows = "".join(f"{name},{sex}\n" for name, sex in zip(NAMES, LABELS, strict=True))
    write(tmp_path / "root/labels.csv", f"file,sex\n{rows}".encode("utf-32"))
    code, _, index = by_table(tmp_path, "labels.csv")
    assert code == 0 and index["sex"].tolist() == LABELS


# --- folders and archives


def folders(root):
    pictures(root, *(f"female/{name}" for name in NAMES), *(f"male/{name}" for name in NAMES))


@pytest.mark.parametrize("name", ["a.dng", "a.NEF", "a.cr2", "a.jxl", "a.psd", "a.svg"])
def test_formats_that_are_not_read_are_told(tmp_path, name):
    """qarmin/czkawka#2007, jmathai/elodie#507, TheLastGimbus/GooglePhotosTakeoutHelper#271."""
    folders(tmp_path / "root")
    write(tmp_path / "root/male" / name, b"II*\0" + bytes(40))
    code, line, _ = ingest(tmp_path)
    told = f"left out: 1 of formats that are not read (male/{name})"
    assert code == 0 and line.endswith(f"8 images in the index; {told}")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PNG"])
def test_a_picture_of_any_format_without_its_ending_is_told(tmp_path, kind):
    """huggingface/datasets#4514: pictures that the loader knows, and the resolver does not."""
    folders(tmp_path / "root")
    write(tmp_path / "root/male/picture", picture(9, kind=kind))
    _, line, _ = ingest(tmp_path)
    assert line.endswith("left out: 1 pictures not called so (male/picture)")


def test_photographs_that_are_in_a_cloud_are_told(tmp_path):
    """ryanbr/noop#293, cdevers/Blue-Pearmain#64."""
    folders(tmp_path / "root")
    write(tmp_path / "root/male/.IMG_0001.JPG.icloud", b"bplist00")
    _, line, _ = ingest(tmp_path)
    assert line.endswith("left out: 1 not downloaded (iCloud) (male/.IMG_0001.JPG.icloud)")


def test_where_most_photographs_are_in_a_cloud_nothing_is_made(tmp_path):
    pictures(tmp_path / "root", "male/a.jpg", "female/a.jpg")
    for number in range(3):
        write(tmp_path / f"root/male/.{number}.jpg.icloud", b"bplist00")
    code, line, _ = ingest(tmp_path)
    assert code == 1 and "3 of 5 rows and files would be left out: 3 not downloaded" in line


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_one_name_in_an_archive_are_told(tmp_path):
    """microsoft/markitdown#2434, rubyzip/rubyzip#240, mate-desktop/engrampa#494."""
    pixels = {}
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for number, name in enumerate(["a/1.png", "a/2.png", "a/1.png", "a\\2.png"]):
            image = Image.new("RGB", (16, 16), (number * 40, 0, 0))
            data = io.BytesIO()
            image.save(data, "PNG")
            archive.writestr(name, data.getvalue())
            pixels[name.replace("\\", "/")] = number * 40
    dest = tmp_path / "faces.npy"
    code, line = run(stylegan2, "pack", "--source", tmp_path / "faces.zip", "--dest", dest)
    assert code == 0 and "2 images packed; left out: 2 twice in their archive" in line
    assert np.load(dest)[:, 0, 0, 0].tolist() == [pixels["a/1.png"], pixels["a/2.png"]]


def test_pipes_and_sockets_are_told_and_never_opened(tmp_path, monkeypatch):
    """MemPalace/mempalace#2221, xyb3rt/sxiv#252 (hang); atom/fs-plus#21: nothing after a socket."""
    pictures(tmp_path / "root", "female/0.jpg", "male/1.jpg")
    os.mkfifo(tmp_path / "root/female/pipe.jpg")
    os.mkfifo(tmp_path / "root/female/pipe")
    monkeypatch.chdir(tmp_path / "root/male")  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("a.jpg")
    code, line, index = ingest(tmp_path)
    assert code == 0 and len(index) == 2
    assert "3 no files (pipes, sockets, devices) (female/pipe, female/pipe.jpg, male/a.jpg)" in line
