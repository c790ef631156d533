"""Public reports of names that mean something to a shell, a page, a plot or a pattern.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import itertools

import fake_hub
import pytest
from generators import make_generator
from huggingface_hub import constants
from layouts import picture, write
from markdown_it import MarkdownIt
from reported import pictures

from classifiers.images.photos import find_photos
from classifiers.models.card import model_card
from classifiers.models.heads import Head
from facekit.errors import DataError
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
