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
    total = {"duplicates": 2, "label_issues": 3, "non_faces": 2, "several_faces": 1, "unflagged": 0}
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


def opened(browser, data, tmp_path, name="test"):
    """Open the page, without what the browser remembers of an earlier test."""
    page = tmp_path / "review.html"
    page.write_text(
        review.make_page(data, name, SAVED_AS, ReviewOptions(max_images=5000)), encoding="utf-8"
    )
    browser.open(page)
    browser.run("localStorage.clear()")
    browser.reload()
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
