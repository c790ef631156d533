"""Public reports of names that mean something to a shell, a page, a plot or a pattern.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import itertools
import json
from xml.etree import ElementTree

import fake_hub
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from generators import make_generator
from huggingface_hub import constants
from layouts import picture, write
from markdown_it import MarkdownIt
from matplotlib import font_manager
from reported import pictures, run

from classifiers.evaluate.figures import STYLE, draw_confusions
from classifiers.images.photos import find_photos
from classifiers.models.card import model_card
from classifiers.models.heads import Head
from evenface.cli import main as evenface
from facekit.errors import DataError
from facekit.pictures import lettering, tiles
from facekit.pictures.figures import save_svg
from facekit.storage import tables
from stylegan2.exchange import export
from stylegan2.models import checkpoint

# Each is to be read as it is, in whatever it comes to.
NAMES = ["<b>&amp;</b>", "_a|b_ *c* `d`", "$x$ ~~y~~ \\|", "[z](http://x.y)", "snake_case"]


def rendered(text, kind):
    """Return what a reader of Markdown sees in cells (td) or paragraphs, and kinds of its parts."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [
        after.children
        for before, after in itertools.pairwise(tokens)
        if before.type == f"{kind}_open"
    ]
    texts = ["".join(part.content for part in parts) for parts in inner]
    return texts, {part.type for parts in inner for part in parts}


# --- Markdown


def test_a_card_shows_classes_as_they_are_called():
    """huggingface/sentence-transformers#3429: a name with a pipe broke the table."""
    classifier, meta = of_classes(NAMES)
    of_class = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 20}
    metrics = {
        "hair": {"accuracy": 0.9, "support": 99, "per_class": dict.fromkeys(NAMES, of_class)}
    }
    cells, kinds = rendered(model_card(classifier, meta, {}, metrics, "test"), "td")
    assert ", ".join(NAMES) in cells and set(NAMES) <= set(cells)
    assert kinds == {"text"}
    assert "| snake_case |" in model_card(classifier, meta, {}, metrics, "test")
    one, _ = of_classes(["two\n# lines", "b"])
    cells, kinds = rendered(model_card(one, meta, {}, {}, None), "td")
    assert "two # lines, b" in cells


def of_classes(classes):
    from portrait_classifiers import SIZE, make_classifier

    head = Head("hair", ("hair",), "categorical", 1.0, tuple(classes))
    geometry = {"height": SIZE.height, "width": SIZE.width, "fit": SIZE.fit}
    return make_classifier([head]), {"backbone": "test_efficientnet", "geometry": geometry}


def test_the_card_of_a_generator_likewise(tmp_path, monkeypatch):
    generator, about = make_generator(c_dim=len(NAMES))
    about.classes[:] = [[name] for name in NAMES]
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(generator, about, path)
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with fake_hub.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        export.publish(path, [], "me/faces", public=False)
    card = hub.files["me/faces"]["README.md"].decode()
    assert f"classes: {', '.join(NAMES)}" in rendered(card, "paragraph")[0]


# --- patterns


def test_a_folder_with_brackets_is_that_folder(tmp_path):
    """manyfold3d/manyfold#1930, terkelg/tiny-glob#78: `[1]` in a folder's name is no pattern."""
    pictures(tmp_path / "photos [1] {x}", "a[b].jpg", "c.jpg")
    pictures(tmp_path / "photos 1 {x}", "d.jpg")
    folder = tmp_path / "photos [1] {x}"
    assert list(find_photos(str(folder)).paths) == ["a[b].jpg", "c.jpg"]
    assert list(find_photos(f"{folder}/*.jpg").paths) == [f"{folder}/a[b].jpg", f"{folder}/c.jpg"]
    assert list(find_photos(f"{folder}/a[b].jpg").paths) == [f"{folder}/a[b].jpg"]
    found = find_photos(f"{tmp_path}/photos 1*/*.jpg").paths
    assert list(found) == [f"{tmp_path}/photos 1 {{x}}/d.jpg"]
    write(folder / "deep/e.png", picture(9))
    assert list(find_photos(f"{folder}/**/e.png").paths) == [f"{folder}/deep/e.png"]
    with pytest.raises(DataError, match="no picture there"):
        find_photos(f"{folder}/*.gif")


# --- letters on pictures

LETTERS = ["銀龍", "日本", "straße", "мужской", "αβ", "two\nlines"]


def ink(sheet, row, height, width):
    """Return what is written in the margin beside a row of a sheet."""
    return sheet[row * height : (row + 1) * height, :width].min(axis=2) < 128


def test_classes_of_any_language_differ_on_a_sheet():
    """ultralytics/yolov5#6522, ultralytics/ultralytics#5803: each letter was the same box."""
    pictures = np.full((len(LETTERS) * 40, 40, 3), 255, np.uint8)
    sheet = tiles.label_rows(pictures, LETTERS)
    rows = [ink(sheet, row, 40, sheet.shape[1] - 40).tobytes() for row in range(len(LETTERS))]
    assert len({*rows}) == len(LETTERS)
    plain = tiles.label_rows(pictures, ["a"] * len(LETTERS))
    assert plain.shape[1] < sheet.shape[1] and all(any(row) for row in rows)


def test_what_no_font_here_has_is_escaped(monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    letters = lettering.Letters(["銀 straße", "a\tb"], 12)
    assert letters.shown("銀 straße") == "\\u9280 straße"
    assert letters.shown("a\tb\x0b\nc") == "a\\tb\\x0b\nc"
    assert lettering.Letters(["plain"], 12).shown("pl\u0430in") == "pl\\u0430in"


def test_a_font_of_this_machine_is_taken_where_it_has_more(tmp_path, monkeypatch):
    path = tmp_path / "Own.ttf"
    builder = FontBuilder(1000)
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0)), pen.lineTo((100, 900)), pen.lineTo((900, 900)), pen.closePath()
    builder.setupGlyphOrder([".notdef", "one"])
    builder.setupCharacterMap({ord("銀"): "one"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "one": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "one": (1000, 100)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Own", "styleName": "Regular"})
    builder.setupOS2(), builder.setupPost()
    builder.save(path)
    (tmp_path / "broken.ttf").write_bytes(b"none")
    found = [str(tmp_path / "broken.ttf"), str(path)]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    letters = lettering.Letters(["銀"], 20)
    assert letters.shown("銀") == "銀" and letters.width("銀") == 20
    assert letters.font.getmask("銀").getbbox() is not None


def test_a_figure_keeps_letters_that_its_font_lacks_as_text(tmp_path, recwarn):
    confusions = [("hair", ["銀龍", "日本"], np.eye(2, dtype=np.int64))]
    save_svg(draw_confusions(confusions), tmp_path / "c.svg", STYLE)
    text = (tmp_path / "c.svg").read_text(encoding="utf-8")
    words = [
        one.text for one in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"銀龍", "日本"} <= set(words)
    assert not [one for one in recwarn if "missing from font" in str(one.message)]
    confusions = [("hair", ["straße", "b\x0b"], np.eye(2, dtype=np.int64))]
    save_svg(draw_confusions(confusions), tmp_path / "d.svg", STYLE)
    text = (tmp_path / "d.svg").read_text(encoding="utf-8")
    assert (
        "<text" not in text
        and "b\\x0b" in text
        and ElementTree.fromstring(text).tag.endswith("svg")
    )


# --- columns of others


def test_a_column_called_as_one_of_an_export_hides_no_file(tmp_path):
    """cleanlab/cleanlab-studio#56: labels called `file_name` stood where the pictures' names do."""
    heading, rows = "photo,file_name,image,sex\n", ""
    for number in range(12):
        write(tmp_path / f"photos/{number:02}.png", picture(number))
        rows += f"{number:02}.png,{'ab'[number % 2]},{'cd'[number // 2 % 2]},{'fm'[number % 2]}\n"
    write(tmp_path / "photos/labels.csv", heading + rows)
    exports = [f"--export={name}:{tmp_path / name}" for name in ("huggingface", "csv", "fiftyone")]
    code, line = run(
        evenface, "check", tmp_path / "photos", "--out", tmp_path / "out", "--no-faces",
        "--workers", 1, *exports,
    )  # fmt: skip
    assert code == 0, line
    lines = (tmp_path / "huggingface/train/metadata.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert first == {"file_name": "00.png", "file_name-2": "a", "image-2": "c", "sex": "f"}
    assert (tmp_path / "huggingface/train/00.png").is_file()
    table = tables.read(tmp_path / "csv/labels.csv")
    assert list(table.columns) == ["file", "file_name-2", "image-2", "sex"]
    labels = json.loads((tmp_path / "fiftyone/labels.json").read_text())["labels"]
    assert labels["00"] == {"label": "a", "attributes": {"image-2": "c", "sex": "f"}}
