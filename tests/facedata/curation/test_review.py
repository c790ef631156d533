"""The review page: what it shows, that text on it stays text, that what it saves is followed."""

import base64
import csv
import html.parser
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_chromium
from click.testing import CliRunner
from PIL import Image

from facedata import cli
from facedata.columns import KINDS_OF_PAIRS
from facedata.curation import curate, review
from facedata.ingest import ranges
from facedata.options import ReviewOptions
from facedata.packs import storage
from facekit.errors import DataError
from facekit.pictures.geometry import box_columns
from facekit.storage import tables

AGE_GROUPS = ["young", "old"]
DERIVED = [{"name": "age_group", "source": "age", "bins": [30], "classes": AGE_GROUPS}]
EVIL = "</script><script>window.hacked = 1</script>"
IDS = ["a.jpg", EVIL, '=1+1, "b"', "two\nlines", "<img src=x onerror=window.hacked=1>", "f", "g"]
UNREADABLE = "<b>broken</b>"
CLASS = "<i>f</i>, x"
HEADING = "image_id,action,attribute,value,note\n"
OPTIONS = ReviewOptions(max_images=100)
SAVED_AS = "resources/test/curation.csv"


@pytest.fixture
def data():
    """Seven images: a pair that disagrees, a mirrored pair, a non-face, several faces, issues."""
    ids = [*IDS, UNREADABLE]
    index = pd.DataFrame(
        {
            "image_id": ids,
            "table_row": pd.array(range(1, 9), dtype="Int64"),
            "path": ids,
            "group": pd.array([pd.NA] * 8, dtype="str"),
            "official_split": pd.array([pd.NA] * 8, dtype="str"),
            "gender": pd.Categorical.from_codes([0, 1, 1, 0, 0, -1, 1, 1], [CLASS, "m"]),
            "age": [20.0, 41.5, 30.0, np.nan, 50.0, 60.0, 70.0, 10.0],
        }
    )
    groups = pd.cut(index["age"], [-1, 29.9, 200], labels=AGE_GROUPS)
    index["age_group"] = pd.Categorical(groups, categories=AGE_GROUPS)
    rng = np.random.default_rng(0)
    return review.Data(
        index=index,
        row=pd.Series([*range(7), pd.NA], dtype="Int64"),
        boxes=np.array([[2.0, 0.0, 14.0, 24.0]] * 7 + [[np.nan] * 4]),
        decisions=pd.DataFrame(
            {
                "image_id": ids,
                "kept": [False, False, True, False, True, True, True, False],
                "reason": [*["label_conflict"] * 2, None, "duplicate", *[None] * 3, "truncated"],
                "detail": ["gender;age", "gender;age", "", 'of =1+1, "b"', "", "", "", ""],
            }
        ),
        rejected=pd.DataFrame(
            {
                "image_id": ["a.jpg", "stray"],
                "kept": [False, False],
                "reason": ["repeated_row", "file_without_row"],
                "detail": ["the file of row 1", ""],
            }
        ),
        faces=pd.DataFrame(
            {
                "image_id": IDS,
                "probability": [1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 0.0],
                "num_faces": [1, 1, 1, 1, 0, 2, 0],
                "non_face": [False] * 4 + [True, False, True],
                "several_faces": [False] * 5 + [True, False],
            }
        ),
        duplicates=pd.DataFrame(
            {
                "image_id_a": [IDS[2], "a.jpg"],
                "image_id_b": [IDS[3], EVIL],
                "kind": ["near", "mirror"],
                "distance": [3, 7],
                "cluster": [0, 1],
                "conflict": ["", "gender;age;age_group"],
            }
        ),
        label_issues=pd.DataFrame(
            {
                "image_id": [EVIL, "f", "a.jpg"],
                "attribute": ["gender", "age", "age_group"],
                "given": ["m", "60", "young"],
                "suggested": [CLASS, "22", "old"],
                "score": [0.01, 0.05, 0.3],
            }
        ),
        rows=[],
        derived=DERIVED,
        images=rng.integers(0, 256, (7, 24, 16, 3), dtype=np.uint8),
    )


def row(image_id, action, attribute="", value="", note=""):
    return dict(zip(curate.REVIEW_COLUMNS, (image_id, action, attribute, value, note), strict=True))


def test_sections_show_the_most_telling_first(data):
    found = review.gallery(data, OPTIONS)
    names = {
        section: [[found["images"][i]["id"] for i in item["images"]] for item in items]
        for section, items in found["sections"].items()
    }
    assert names == {
        "duplicates": [["a.jpg", EVIL], [IDS[2], IDS[3]]],  # the disputed one, though surer
        "label_issues": [[EVIL], ["f"], ["a.jpg"]],
        "non_faces": [[IDS[4]], ["g"]],  # the one most like a face
        "several_faces": [["f"]],
        "unflagged": [],
        "browse": [],
    }
    disputed, alike = found["sections"]["duplicates"]
    assert disputed["conflict"] == ["gender", "age", "age_group"]
    assert (disputed["kind"], alike["kind"], alike["distance"]) == ("mirror", "near", 3)
    assert found["hidden"] == dict.fromkeys(names, 0)


def test_a_doubt_about_an_attribute_and_one_made_of_it_is_one(data):
    columns = ["image_id", "attribute", "given", "suggested", "score"]
    issues = [
        ("f", "age_group", "old", "young", 0.01),
        ("g", "gender", "m", CLASS, 0.02),
        ("f", "age", "60", "22", 0.05),
        ("f", "gender", "m", CLASS, 0.06),
        ("g", "age_group", "old", "young", 0.07),
    ]
    data = replace(data, label_issues=pd.DataFrame(issues, columns=columns))
    found = review.gallery(data, OPTIONS)
    shown = [
        (found["images"][one["images"][0]]["id"], one["attribute"], one["suggested"], one["score"])
        for one in found["sections"]["label_issues"]
    ]
    assert shown == [
        ("f", "age", "22", 0.01),
        ("g", "gender", CLASS, 0.02),
        ("f", "gender", CLASS, 0.06),
        ("g", "age_group", "young", 0.07),
    ]


def test_a_sample_of_what_nothing_flagged_is_shown(data):
    faces = data.faces.assign(non_face=False, several_faces=False)
    data = replace(data, faces=faces, label_issues=None)  # the three last images are left
    sample = {}
    for num in (0, 1, 2, 9):
        found = review.gallery(data, ReviewOptions(max_images=100, sample=num))
        items = found["sections"]["unflagged"]
        sample[num] = [found["images"][one["images"][0]]["id"] for one in items]
    assert set(sample[9]) == {IDS[4], "f", "g"}
    assert [sample[num] for num in (0, 1, 2)] == [sample[9][:num] for num in (0, 1, 2)]


def test_images_tell_labels_and_decision(data):
    found = review.gallery(data, OPTIONS)
    images = {image["id"]: image for image in found["images"]}
    assert set(images) == set(IDS)
    assert images[EVIL]["labels"] == ["m", 41.5, "old"]
    assert images[IDS[3]]["labels"] == [CLASS, None, None]
    assert images["f"]["labels"] == [None, 60.0, "old"]
    assert (images["a.jpg"]["kept"], images["a.jpg"]["reason"]) == (False, "label_conflict")
    assert (images["f"]["kept"], images["f"]["reason"], images["f"]["faces"]) == (True, "", 2)
    assert found["attributes"] == [
        {"name": "gender", "classes": [CLASS, "m"], "sources": [], "range": (None, None)},
        {"name": "age", "classes": None, "sources": [], "range": (None, None)},
        {"name": "age_group", "classes": AGE_GROUPS, "sources": ["age"], "range": (None, None)},
    ]
    reasons = [(one["id"], one["reason"]) for one in found["rejected"]]
    assert reasons == [
        ("a.jpg", "repeated_row"),
        ("stray", "file_without_row"),
        (UNREADABLE, "truncated"),
    ]


def test_pictures_have_no_padding(data):
    picture = review.gallery(data, OPTIONS)["images"][0]["picture"]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        assert image.size == (12, 24)
        assert image.format == "WEBP"


@pytest.mark.parametrize("max_images", [1, 2, 3, 5, 6, 7])
def test_no_more_pictures_than_allowed(data, max_images):
    found = review.gallery(data, ReviewOptions(max_images=max_images))
    assert len(found["images"]) <= max_images
    total = {"duplicates": 2, "label_issues": 3, "non_faces": 2, "several_faces": 1}
    total |= {"unflagged": 0, "browse": 0}
    for section, items in found["sections"].items():
        assert len(items) + found["hidden"][section] == total[section]
        assert all(place < len(found["images"]) for item in items for place in item["images"])


def test_every_section_has_its_share_of_pictures():
    found = {
        "many": [{"images": [f"m{i}"]} for i in range(100)],
        "few": [{"images": [f"f{i}"]} for i in range(5)],
        "pairs": [{"images": [f"p{i}", f"q{i}"]} for i in range(50)],
    }
    shown, number = review._share_out(found, 45)
    assert [len(items) for items in shown.values()] == [20, 5, 10]
    assert sorted(number.values()) == list(range(45))


@pytest.fixture
def faces(data):
    """Forty images of two looks, a red and a rare blue one; of each the first is flagged."""
    number = 40
    ids = [f"{i:02}" for i in range(number)]
    is_blue = np.arange(number) % 10 == 9
    rng = np.random.default_rng(1)
    images = rng.integers(0, 60, (number, 24, 16, 3), dtype=np.uint8)
    images[~is_blue, :, :, 0] += 180
    images[is_blue, :, :, 2] += 180
    index = data.index.iloc[[0] * number].reset_index(drop=True)
    index = index.assign(image_id=ids, look=pd.Categorical(np.where(is_blue, "blue", "red")))
    is_first = [one in ("00", "09") for one in ids]
    found = data.faces.iloc[[0] * number].reset_index(drop=True)
    decisions = data.decisions.iloc[[2] * number].reset_index(drop=True)
    return replace(
        data,
        index=index,
        row=pd.Series(range(number), dtype="Int64"),
        boxes=data.boxes[[0] * number],
        decisions=decisions.assign(image_id=ids),
        faces=found.assign(image_id=ids, several_faces=is_first),
        duplicates=data.duplicates.iloc[:0],
        label_issues=None,
        images=images,
    )


def similar_of(found, image_id):
    image = next(one for one in found["images"] if one["id"] == image_id)
    return [found["images"][number]["id"] for number in image["similar"]]


def test_similar_images_stay_are_no_copies_and_look_alike(data, faces):
    alike = faces.images.copy()
    alike[[11, 12, 13]] = faces.images[0]  # three copies of the first, of which one goes
    decisions = faces.decisions.copy()
    decisions.loc[13, "kept"] = False
    pair = data.duplicates.iloc[:1].assign(image_id_a="00", image_id_b="12")
    changed = replace(faces, images=alike, decisions=decisions, duplicates=pair)
    found = review.gallery(changed, ReviewOptions(sample=0, similar=3))
    assert similar_of(found, "00")[0] == "11"
    assert {"12", "13"}.isdisjoint(similar_of(found, "00"))
    assert set(similar_of(found, "09")) == {"19", "29", "39"}
    is_small = {one["id"]: one["is_small"] for one in found["images"]}
    assert not is_small["00"] and is_small["11"]
    assert similar_of(review.gallery(changed, ReviewOptions(similar=0)), "00") == []


def test_what_classifiers_say_makes_images_alike(faces):
    noise = np.random.default_rng(2).integers(0, 256, faces.images.shape, dtype=np.uint8)
    prob = np.where(np.arange(40) < 5, 0.9, 0.1)
    said = pd.DataFrame({"look:red": prob, "look:blue": 1 - prob, "age": 10.0})
    said.iloc[-1] = np.nan  # one that was not screened
    data = replace(faces, images=noise, predictions=said)
    found = review.gallery(data, ReviewOptions(sample=0, similar=4))
    assert set(similar_of(found, "00")) == {"01", "02", "03", "04"}


def test_classes_are_browsed_in_turn_and_pictures_are_bounded(faces):
    found = review.gallery(faces, ReviewOptions(sample=2, similar=4, browse=6))
    shown = [found["images"][one["images"][0]]["id"] for one in found["sections"]["browse"]]
    assert len(shown) == 2 + 6  # the sample is among them
    assert found["hidden"]["browse"] == 38 - 8
    assert sum(one["is_small"] for one in found["images"]) == 6
    assert sum(int(one) % 10 == 9 for one in shown) >= 2  # of three
    found = review.gallery(faces, ReviewOptions(sample=0, similar=0, browse=0))
    assert [one["id"] for one in found["images"]] == ["00", "09"]
    assert found["sections"]["browse"] == []


def test_the_map_has_a_place_for_each_and_like_ones_lie_together(faces):
    found = review.gallery(faces, ReviewOptions())
    at = {one["id"]: np.array(one["at"]) for one in found["images"]}
    assert len(at) == 40 and all(((one >= 0) & (one <= 1000)).all() for one in at.values())
    blue = np.stack([one for name, one in at.items() if int(name) % 10 == 9])
    red = np.stack([one for name, one in at.items() if int(name) % 10 != 9])
    assert np.ptp(blue[:, 0]) < abs(np.median(blue[:, 0]) - np.median(red[:, 0]))
    lonely = replace(faces, images=np.zeros_like(faces.images))
    assert {tuple(one["at"]) for one in review.gallery(lonely, OPTIONS)["images"]} == {(500, 500)}


def test_whole_photographs_of_flagged_faces_are_shown_with_the_box(faces, tmp_path):
    Image.new("RGB", (1600, 800), (9, 99, 199)).save(tmp_path / "group.jpg")
    index = faces.index.assign(cut_from="group.jpg", cut_x0=400.0, cut_y0=-80.0)
    index = index.assign(cut_x1=800.0, cut_y1=400.0)
    index.loc[9, "cut_from"] = "lost.jpg"
    cut = replace(faces, index=index, root=tmp_path)
    found = review.gallery(cut, OPTIONS)
    images = {one["id"]: one for one in found["images"]}
    assert (images["00"]["photograph"], images["00"]["box"]) == (0, [0.25, -0.1, 0.5, 0.5])
    assert "photograph" not in images["09"] and "photograph" not in images["01"]
    (picture,) = found["photographs"]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        assert image.size == (640, 320)
    for other in (replace(cut, root=None), replace(cut, index=faces.index)):
        assert review.gallery(other, OPTIONS)["photographs"] == []
    assert review.gallery(cut, ReviewOptions(photographs=0))["photographs"] == []


def test_rows_are_named_as_the_data_set_names_them(data):
    rows = [row(" a.jpg ", " relabel", "age ", "12 ", " a note "), row(EVIL, "drop")]
    assert review.gallery(replace(data, rows=rows), ReviewOptions(max_images=9))["rows"] == [
        row("a.jpg", "relabel", "age", "12", " a note "),
        row(EVIL, "drop"),
    ]


def test_a_cluster_with_too_many_pictures_is_passed_over():
    found = {
        "pairs": [{"images": list("abcdef")}, {"images": list("gh")}],
        "few": [{"images": ["i"]}],
    }
    shown, number = review._share_out(found, 3)
    assert shown == {"pairs": [{"images": ["g", "h"]}], "few": [{"images": ["i"]}]}
    assert set(number) == set("ghi")


class Scripts(html.parser.HTMLParser):
    """The scripts of a page, and every address that it names."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.addresses, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, text):
        if self.inside:
            self.scripts[-1] += text

    def handle_endtag(self, tag):
        self.inside = False


def test_the_page_says_the_line_that_runs_again(data):
    again = "evenface run --configfile 'my <b>own</b>.yaml'"
    page = review.make_page(data, "test", SAVED_AS, OPTIONS, again)
    assert "evenface run --configfile &#39;my &lt;b&gt;own&lt;/b&gt;.yaml&#39;</pre>" in page


def test_the_page_holds_all_of_itself(data):
    page = review.make_page(data, "test", SAVED_AS, OPTIONS)
    parts = Scripts(page)
    assert len(parts.scripts) == 2  # the data and ours: no text of the data set opened another
    assert json.loads(parts.scripts[0])["images"][1]["id"] == EVIL
    assert parts.addresses == ["data:,"]
    assert not re.search(r"https?://", page)
    assert SAVED_AS in page
    assert "default-src 'none'" in page
    assert page == review.make_page(data, "test", SAVED_AS, OPTIONS)


@pytest.fixture
def files(data, tmp_path):
    """The same as files, for the command."""
    facts = data.index[["image_id"]].assign(row=data.row)
    facts[box_columns("classifier")] = pd.DataFrame(data.boxes).astype("Int64")
    decisions = pd.concat([data.rejected, data.decisions], ignore_index=True)
    issues = pd.concat([data.label_issues, data.label_issues.tail(1)]).assign(issue=True)
    issues.iloc[-1, -1] = False  # listed, but not called wrong
    made = {
        "index.parquet": data.index,
        "inspection.parquet": facts,
        "faces.parquet": data.faces,
        "duplicates.parquet": data.duplicates,
        "decisions.parquet": decisions,
        "label_issues.csv": issues,
    }
    for name, table in made.items():
        tables.write(table, tmp_path / name)
    with storage.appending(tmp_path / "classifier.npy", data.images.shape[1:]) as append:
        append(data.images)
    options = {Path(name).stem.replace("_", "-"): tmp_path / name for name in made}
    return options | {
        "images": tmp_path / "classifier.npy",
        "derived": json.dumps(DERIVED),
        "dataset": "test",
        "saved-as": SAVED_AS,
        "max-images": 100,
        "page": tmp_path / "review.html",
    }


def invoke(options):
    return CliRunner().invoke(cli.main, ["review", *(f"--{k}={v}" for k, v in options.items())])


def test_command(data, files):
    result = invoke(files)
    assert result.exit_code == 0, result.output
    assert files["page"].read_text() == review.make_page(data, "test", SAVED_AS, OPTIONS)
    assert files["page"].with_name("review.run.json").exists()

    del files["label-issues"]
    list_file = files["page"].with_name("curation.csv")
    list_file.write_text(HEADING + "a.jpg,drop,,,\n")
    assert invoke(files | {"curation": list_file}).exit_code == 0
    shown = json.loads(Scripts(files["page"].read_text()).scripts[0])
    assert shown["sections"]["label_issues"] == []
    assert shown["rows"] == [row("a.jpg", "drop")]


def test_command_reads_predictions_and_photographs(data, files, tmp_path):
    index = data.index.assign(cut_from="whole/one.png", cut_x0=1.0, cut_y0=2.0, cut_x1=5.0)
    tables.write(index.assign(cut_y1=6.0), files["index"])
    (tmp_path / "photos" / "whole").mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "photos" / "whole" / "one.png")
    said = pd.DataFrame({"image_id": IDS[:4], "fold": 0, "age": [1.0, 2.0, 3.0, 4.0]})
    tables.write(said, tmp_path / "oof.parquet")
    more = {"predictions": tmp_path / "oof.parquet", "root": tmp_path / "photos"}
    result = invoke(files | more)
    assert result.exit_code == 0, result.output
    shown = json.loads(Scripts(files["page"].read_text()).scripts[0])
    assert len(shown["photographs"]) == 1
    tables.write(pd.concat([said, said]), tmp_path / "oof.parquet")
    result = invoke(files | more)
    assert result.exit_code == 1 and "oof.parquet: an image is there twice" in result.output


def test_decisions_of_other_images_are_refused(data, files):
    tables.write(data.decisions.iloc[::-1], files["decisions"])
    result = invoke(files)
    assert result.exit_code == 1
    assert "decisions.parquet: not of the images in" in result.output


def test_reading_checks_what_belongs_together(files):
    tables.write(pd.DataFrame({"image_id": ["a.jpg"]}), files["faces"])
    with pytest.raises(DataError, match=r"faces.parquet: no column \['probability'"):
        names = ("index", "inspection", "images", "faces", "duplicates", "decisions")
        review.read_data(*(files[name] for name in names), None, None, DERIVED)


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium or Chrome found to click on the page with")
    with Browser(chromium, tmp_path_factory.mktemp("browser")) as browser:
        yield browser
        assert browser.problems == []


NOTHING_KEPT = "Object.values(localStorage).every((text) => !JSON.parse(text).changes.length)"


def opened(browser, data, tmp_path, name="test", **options):
    """Open the page, without what the browser remembers of an earlier test."""
    page = tmp_path / "review.html"
    options = ReviewOptions(**{"max_images": 5000, **options})
    page.write_text(review.make_page(data, name, SAVED_AS, options), encoding="utf-8")
    browser.open(page)
    for _ in range(10):  # what the page before has just written may come after it is cleared
        browser.run("localStorage.clear()")
        browser.reload()
        if browser.run(NOTHING_KEPT):
            break
    return page


def tab(browser, section):
    browser.click(f'[data-section="{section}"]')


def aim(browser, image_id, part, text=""):
    """Return a selector of the first part of an image's card whose text begins with `text`."""
    browser.run(
        f"""(() => {{
          for (const old of document.querySelectorAll("[data-aim]")) delete old.dataset.aim;
          const cards = [...document.querySelectorAll(".unit")];
          const card = cards.find((one) => one.dataset.image === {json.dumps(image_id)});
          const parts = [...card.querySelectorAll({json.dumps(part)})];
          const part = parts.find((one) => one.textContent.trim().startsWith({json.dumps(text)}));
          part.dataset.aim = "yes";
        }})()"""
    )
    return "[data-aim]"


def button(browser, image_id, text):
    browser.click(aim(browser, image_id, "button, .acts label", text))


def pick(browser, image_id, place):
    """Choose an option of the first list of an image's card; -1 is the last."""
    aim(browser, image_id, "select")
    browser.run(
        f"""(() => {{
          const list = document.querySelector("[data-aim]");
          list.selectedIndex = ({place} + list.length) % list.length;
          list.dispatchEvent(new Event("change"));
        }})()"""
    )


def text_of(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)}).textContent")


def saved(browser):
    """Press Save, and return the rows of the file."""
    content = browser.download("#save")
    browser.run('document.getElementById("saved-dialog").close()')
    reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    return content, list(reader)


def followed(data, content, tmp_path):
    """Return the list as curation reads it."""
    path = tmp_path / "curation.csv"
    path.write_bytes(content)
    inspection = pd.DataFrame(
        {
            "image_id": data.index["image_id"],
            "row": data.row,
            "problem": data.decisions["reason"].where(data.row.isna().to_numpy()),
        }
    )
    return curate.read_review(path, data.index, data.rejected, inspection, DERIVED)


def test_what_is_clicked_is_saved_and_followed(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    button(browser, "a.jpg", "Keep")
    button(browser, EVIL, "Drop")
    button(browser, IDS[2], "Drop")
    button(browser, IDS[3], "Keep")
    tab(browser, "label_issues")
    button(browser, "f", "Set age to 22")
    tab(browser, "non_faces")
    button(browser, IDS[4], "Drop")
    button(browser, "g", "Drop")
    button(browser, "g", "Drop")  # taken back
    content, rows = saved(browser)
    assert rows == [
        row("a.jpg", "keep"),
        row(EVIL, "drop"),
        row(IDS[2], "drop"),
        row(IDS[3], "keep"),
        row("f", "relabel", "age", "22"),
        row(IDS[4], "drop"),
    ]
    decisions = followed(data, content, tmp_path)
    assert decisions.kept == {"a.jpg", IDS[3]}
    assert set(decisions.dropped) == {EVIL, IDS[2], IDS[4]}
    assert decisions.labels == {("f", "age"): 22.0}
    assert browser.run("window.hacked") is None


def test_labels_and_notes_come_back_as_written(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    tab(browser, "label_issues")
    button(browser, EVIL, "Set gender")
    button(browser, "f", "Label")
    note = '=SUM(1,2) "quoted",\nnext; é\u2028 '
    button(browser, "f", "Note")
    browser.type(note)
    browser.run("document.activeElement.blur()")
    pick(browser, "f", 2)
    number = aim(browser, "f", ".editor input")
    for text in ("1e999", "abc", "33.5"):  # only the last is a number
        browser.run(f"document.querySelector({json.dumps(number)}).value = ''")
        browser.click(number)
        browser.type(text)
        browser.run("document.activeElement.blur()")
        content, _ = saved(browser)
        assert ("f,relabel,age,33.5" in content.decode()) == (text == "33.5")
    decisions = followed(data, content, tmp_path)
    assert decisions.labels == {
        (EVIL, "gender"): CLASS,
        ("f", "gender"): "m",
        ("f", "age"): 33.5,
    }
    assert {text for _, text in notes(content)} == {"", note}

    # Taken up again, the list is the starting state, and a later one holds it too.
    rows = [one for _, one in curate.review_rows(tmp_path / "curation.csv")]
    opened(browser, replace(data, rows=rows), tmp_path)
    again, _ = saved(browser)
    assert again == content
    button(browser, "a.jpg", "Drop")
    more, _ = saved(browser)
    assert more.startswith(content)
    assert more[len(content) :] == b"a.jpg,drop,,,\n"


def notes(content):
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    return [(one["image_id"], one["note"]) for one in rows]


def test_an_impossible_number_is_neither_proposed_nor_taken(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    tab(browser, "label_issues")
    button(browser, "f", "Set age to 22")
    saved(browser)
    # The index of a data set whose ages have a range, and a classifier that predicts another.
    index = data.index.copy()
    ranges.keep(index, {"age": (30, 116)})
    issues = data.label_issues.assign(suggested=[CLASS, "-206", "old"])
    page = review.make_page(
        replace(data, index=index, label_issues=issues), "test", SAVED_AS, OPTIONS
    )
    (tmp_path / "review.html").write_text(page, encoding="utf-8")
    browser.reload()
    assert saved(browser)[1] == []  # 22 was stored when it was possible
    tab(browser, "label_issues")
    text = text_of(browser, '[data-image="f"]')
    assert "age: 60 is doubtful" in text and "206" not in text and "Set age" not in text
    button(browser, "f", "Label")
    number = aim(browser, "f", ".editor input")
    for value in ("-206", "410", "29.9", "30"):
        browser.run(f"document.querySelector({json.dumps(number)}).value = ''")
        browser.click(number)
        browser.type(value)
        browser.run("document.activeElement.blur()")
        rows = saved(browser)[1]
        assert rows == ([row("f", "relabel", "age", "30")] if value == "30" else [])


def test_a_label_is_taken_away(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    button(browser, "a.jpg", "Label")
    pick(browser, "a.jpg", -1)
    content, _ = saved(browser)
    assert followed(data, content, tmp_path).labels == {("a.jpg", "gender"): None}


def test_decisions_survive_a_reload(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    button(browser, "a.jpg", "Keep")
    button(browser, EVIL, "Drop")
    browser.click("#undo")
    browser.reload()
    assert text_of(browser, "#save") == "Save curation.csv (1 row)"
    assert "not saved yet" in text_of(browser, "#progress")
    _, rows = saved(browser)
    assert rows == [row("a.jpg", "keep")]
    browser.reload()
    assert text_of(browser, "#progress") == "1 of 7 images decided"


def test_another_data_set_has_decisions_of_its_own(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    button(browser, "a.jpg", "Keep")
    page = tmp_path / "other.html"
    page.write_text(review.make_page(data, "other", SAVED_AS, OPTIONS), encoding="utf-8")
    browser.open(page)
    assert text_of(browser, "#save") == "Save curation.csv (0 rows)"


def test_a_list_that_was_edited_since_wins(browser, data, tmp_path):
    page = opened(browser, data, tmp_path)
    button(browser, "a.jpg", "Keep")
    button(browser, IDS[2], "Drop")
    edited = replace(data, rows=[row("a.jpg", "drop", note="by hand"), row("f", "keep")])
    page.write_text(review.make_page(edited, "test", SAVED_AS, OPTIONS), encoding="utf-8")
    browser.reload()
    _, rows = saved(browser)
    assert rows == [row("a.jpg", "drop", note="by hand"), row("f", "keep"), row(IDS[2], "drop")]


def test_keys_decide_and_move_on(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    tab(browser, "label_issues")
    for key in ("ArrowRight", "s", "k", "d", "u"):
        browser.press(key)
    _, rows = saved(browser)
    assert rows == [row(EVIL, "relabel", "gender", CLASS), row("f", "keep")]


def test_filters_and_the_list(browser, data, tmp_path):
    opened(browser, data, tmp_path)

    def shown():
        return browser.run("[...document.querySelectorAll('.unit')].map(one => one.dataset.image)")

    button(browser, "a.jpg", "Keep")
    browser.click('[data-show="open"]')
    assert shown() == [IDS[2], IDS[3]]
    browser.click('[data-show="done"]')
    assert shown() == ["a.jpg", EVIL]
    browser.click('[data-show="all"]')
    browser.click("#search")
    browser.type("TWO")
    assert shown() == [IDS[2], IDS[3]]
    browser.run("(s => { s.value = ''; s.dispatchEvent(new Event('input')); })(search)")
    tab(browser, "rejected")
    text = text_of(browser, "#content")
    assert UNREADABLE in text
    assert "file without row" in text
    tab(browser, "non_faces")
    browser.click('[data-bulk="drop"]')
    tab(browser, "list")
    assert browser.run("document.querySelectorAll('#content tr').length") == 4
    browser.click("#content tr:nth-child(2) button")  # takes the first row back
    _, rows = saved(browser)
    assert rows == [row(IDS[4], "drop"), row("g", "drop")]


def test_thousands_of_images_are_shown_page_by_page(browser, data, tmp_path):
    number = 3000
    ids = [f"images/{i:06d}.jpg" for i in range(number)]
    many = replace(
        data,
        index=data.index.iloc[[0] * number].assign(image_id=ids).reset_index(drop=True),
        row=pd.Series([0] * number, dtype="Int64"),
        boxes=data.boxes[[0] * number],
        decisions=data.decisions.iloc[[2] * number].assign(image_id=ids).reset_index(drop=True),
        faces=data.faces.iloc[[4] * number].assign(image_id=ids).reset_index(drop=True),
        duplicates=data.duplicates.iloc[:0],
        label_issues=None,
    )
    opened(browser, many, tmp_path)
    assert browser.run("document.querySelectorAll('.unit').length") == 60
    assert text_of(browser, "#range") == "1–60 of 3,000"
    for _ in range(2):
        browser.click("#next")
    browser.click('[data-bulk="drop"]')
    _, rows = saved(browser)
    assert [one["image_id"] for one in rows] == ids[120:180]
    seconds = browser.run(
        """(() => {
          const start = performance.now();
          document.querySelector("#next").click();
          document.body.offsetHeight; // lays the page out
          return (performance.now() - start) / 1000;
        })()"""
    )
    assert seconds < 2


def shown_ids(browser, selector):
    one = "one => one.dataset.image ?? one.dataset.similar"
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map({one})")


def focused(browser):
    """Return what has the focus once the event of a dialog that was closed has been handled."""
    return browser.run(
        """new Promise((done) => setTimeout(() => {
          const { dataset, className } = document.activeElement;
          done(dataset.image ?? className);
        }, 100))"""
    )


def choose(browser, selector, text):
    browser.run(
        f"""(() => {{
          const list = document.querySelector({json.dumps(selector)});
          const texts = [...list.options].map((one) => one.textContent);
          list.selectedIndex = texts.indexOf({json.dumps(text)});
          list.dispatchEvent(new Event("change"));
        }})()"""
    )


def test_a_cluster_tells_how_its_pictures_are_alike(browser, data, tmp_path):
    told = []
    for kind in KINDS_OF_PAIRS:
        opened(browser, replace(data, duplicates=data.duplicates.assign(kind=kind)), tmp_path)
        told.append(text_of(browser, ".cluster h2").split(" · ")[0])
    assert told[0] == "equal pixels" and "undefined" not in told
    assert len(set(told)) == len(KINDS_OF_PAIRS)


def test_similar_images_tell_what_others_of_their_labels_follow_from(browser, data, tmp_path):
    """Ages are told, the groups that are made of them are not."""
    opened(browser, data, tmp_path, similar=3)
    title = text_of(browser, '.unit[data-image="a.jpg"] .similar-title')
    assert title == "Similar, and their gender, age"
    labels = browser.run(
        """[...document.querySelectorAll('.unit[data-image="a.jpg"] .mini span')].map(
          (one) => one.textContent)"""
    )
    assert labels and not any(group in one for one in labels for group in AGE_GROUPS)


@pytest.mark.parametrize("width", [1280, 390])
def test_what_becomes_of_an_image_is_told_in_whole_words(browser, data, tmp_path, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    try:
        opened(browser, data, tmp_path)
        broken = browser.run(
            """[...document.querySelectorAll(".now .stays, .now .goes")].flatMap((one) => {
              const text = one.firstChild, found = text.data.matchAll(/[^ ]+/g);
              return [...found].filter(({ 0: word, index }) => {
                const range = document.createRange();
                range.setStart(text, index);
                range.setEnd(text, index + word.length);
                return range.getClientRects().length > 1;
              }).map((word) => word[0]);
            })"""
        )
        assert broken == []
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_a_similar_image_is_enlarged_compared_and_decided_about(browser, faces, tmp_path):
    opened(browser, faces, tmp_path, sample=0, similar=3)
    assert shown_ids(browser, '.unit[data-image="09"] .mini') == similar_of(
        review.gallery(faces, ReviewOptions(sample=0, similar=3)), "09"
    )
    first, second, _ = shown_ids(browser, '.unit[data-image="09"] .mini')
    browser.click('.unit[data-image="09"] .mini')
    assert text_of(browser, "#viewer-title") == first
    assert text_of(browser, "#viewer figcaption").startswith("Compared with 09")
    assert "look blue" in text_of(browser, "#viewer figcaption")
    assert "blue" in text_of(browser, "#viewer .unit .labels")  # all labels are told
    for key in ("d", "ArrowLeft", "u", "d", "k"):  # dropped, back, undone, dropped; the next kept
        browser.press(key)
    browser.press("Escape")
    assert not browser.run("document.querySelector('#viewer').open")
    assert focused(browser) == "09"  # where it was left
    assert browser.run(f"document.querySelector('.mini[data-similar=\"{first}\"]').className") == (
        "mini drop"
    )
    assert text_of(browser, "#progress").startswith("0 of 2 images decided and 2 others")
    assert saved(browser)[1] == [row(first, "drop"), row(second, "keep")]


def test_a_flagged_image_is_enlarged_by_keys(browser, data, tmp_path):
    opened(browser, data, tmp_path)
    for key in ("ArrowRight", "z", "ArrowRight"):
        browser.press(key)
    assert text_of(browser, "#viewer-title") == EVIL
    for key in ("ArrowLeft", "n"):
        browser.press(key)
    browser.type("both alike")
    browser.press("Escape")  # leaves the field alone
    assert browser.run("document.querySelector('#viewer').open")
    browser.press("d")
    browser.press("z")
    assert focused(browser) == EVIL
    browser.press("Enter")
    assert text_of(browser, "#viewer-title") == EVIL
    browser.press("Escape")
    assert saved(browser)[1] == [row("a.jpg", "drop", note="both alike")]


def test_unflagged_images_are_browsed_by_class(browser, faces, tmp_path):
    opened(browser, faces, tmp_path, sample=0, similar=0)
    tab(browser, "browse")
    assert len(shown_ids(browser, ".tile")) == 38
    choose(browser, "#attribute", "look")
    choose(browser, "#class", "blue (3)")
    blue = shown_ids(browser, ".tile")
    assert set(blue) == {"19", "29", "39"}
    for key in ("ArrowRight", "d", "Enter"):
        browser.press(key)
    assert text_of(browser, "#viewer-title") == blue[1]
    browser.press("r")
    browser.press("Escape")
    browser.press("Escape")
    assert focused(browser) == blue[1]
    browser.click('[data-show="open"]')
    assert shown_ids(browser, ".tile") == blue[1:]
    assert saved(browser)[1] == [row(blue[0], "drop")]


def test_the_map_is_used_by_pointer_and_by_keys(browser, faces, tmp_path):
    opened(browser, faces, tmp_path, sample=0, similar=0)
    tab(browser, "browse")
    browser.click('[data-how="map"]')
    assert browser.run("document.querySelectorAll('.map circle').length") == 40
    assert browser.run("document.querySelectorAll('.map circle.flagged').length") == 2
    browser.click(".map circle.flagged")
    title = text_of(browser, "#viewer-title")
    assert title in shown_ids(browser, "#viewer .unit")
    browser.press("Escape")
    browser.run("document.querySelector('.map').focus()")
    browser.press("ArrowRight")
    before = text_of(browser, ".tip span")
    browser.press("ArrowLeft")
    after = text_of(browser, ".tip span")
    assert before != after and after in text_of(browser, ".map [role=status]")
    browser.press("k")
    browser.press("Enter")
    assert text_of(browser, "#viewer-title") == after
    browser.press("Escape")
    assert saved(browser)[1] == [row(after, "keep")]
    choose(browser, "#attribute", "look")
    browser.click(".legend button")  # of the blue ones
    assert browser.run("document.querySelectorAll('.map circle').length") == 4


def test_the_whole_photograph_lies_beside_a_face(browser, faces, tmp_path):
    Image.new("RGB", (400, 200), (9, 99, 199)).save(tmp_path / "group.jpg")
    index = faces.index.assign(cut_from="group.jpg", cut_x0=100.0, cut_y0=50.0)
    cut = replace(faces, index=index.assign(cut_x1=200.0, cut_y1=150.0), root=tmp_path)
    opened(browser, cut, tmp_path)
    button(browser, "00", "Whole photograph")
    part, whole = browser.run(
        """["face", "frame"].map((name) =>
          document.querySelector(`#viewer .${name}`).getBoundingClientRect().toJSON())"""
    )
    assert part["width"] / whole["width"] == pytest.approx(0.25, abs=0.01)
    assert part["height"] / whole["height"] == pytest.approx(0.5, abs=0.01)
    assert (part["left"] - whole["left"]) / whole["width"] == pytest.approx(0.25, abs=0.01)
    browser.press("Escape")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_screen_reader_and_small_screen_lack_nothing(browser, data, faces, tmp_path, width, scheme):
    axe = pytest.importorskip("axe_core_python", reason="no axe-core")
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.call("Emulation.setDeviceMetricsOverride", width=width, **size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")

    def lacks():
        found = browser.run(
            """axe.run(document, {resultTypes: ["violations"]}).then((results) =>
              results.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))"""
        )
        wide = browser.run("document.documentElement.scrollWidth") > width
        return [one for one in found if one[0] in ("serious", "critical")], wide

    try:
        opened(browser, data, tmp_path)
        browser.run(f"{script}; 0")
        button(browser, "a.jpg", "Keep")
        button(browser, EVIL, "Drop")
        for section in ("duplicates", "label_issues", "rejected", "list"):
            tab(browser, section)
            if section == "label_issues":
                button(browser, "f", "Set age")
                button(browser, "f", "Label")
            assert lacks() == ([], False)
        opened(browser, faces, tmp_path, sample=5)
        browser.run(f"{script}; 0")
        assert lacks() == ([], False)
        browser.click(".mini")
        assert lacks() == ([], False)
        browser.press("Escape")
        tab(browser, "browse")
        assert lacks() == ([], False)
        browser.click('[data-how="map"]')
        assert lacks() == ([], False)
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
        browser.call("Emulation.setEmulatedMedia", features=[])
