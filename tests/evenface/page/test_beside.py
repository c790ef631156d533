"""Two runs side by side."""

import shutil

import pytest
from click.testing import CliRunner
from page_run import HOSTILE, TASKS, make_run

from evenface import cli
from evenface.page import beside
from facekit.storage import files


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two runs: the second has another setting, another seed's record and another answer."""
    folder = tmp_path_factory.mktemp("results")
    first = make_run(folder / "first")
    second = shutil.copytree(first, folder / "second")
    for root, kimg in ((first, 10), (second, f"20 {HOSTILE}")):
        values = {"kimg": kimg, "data": f"results/{root.name}/packs/train.npy", "batch": 16}
        record = {"command": ["/x/stylegan2", "train"], "values": values, "seconds": 60.0}
        files.write_json(record, root / "round0" / "gan" / "base" / "run.json")
        files.write_json({"values": {"tasks": TASKS, "rounds": 1}}, root / "report.run.json")
    comparison = files.read_json(second / "compare" / "hair.json")
    comparison["sentence"] = "Another answer."
    comparison["arms"][1]["arm"] = "synth@2.0"
    files.write_json(comparison, second / "compare" / "hair.json")
    return first, second


def text_of(page):
    return " ".join(page.split())


def test_answers_arms_and_settings_stand_beside_each_other(pair):
    page = text_of(beside.make_page(*pair))
    assert '<h3 class="sentence">Another answer.</h3>' in page
    assert '<th scope="row">synth@2.0</th><td>–</td><td>–</td><td>0.600' in page
    assert '<th scope="row">synth@1.0</th><td>0.600' in page
    shown = "<code>20 &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;</code>"
    row = '<td class="left">kimg</td><td class="wrap"><code>10</code></td><td class="wrap">'
    assert row + shown in page
    assert '<td class="left">data</td>' not in page  # differs by the folder's name alone
    assert '<td class="left">batch</td>' not in page
    assert "Both were tested on the same images." in page


def test_other_test_images_are_told(pair, tmp_path):
    other = shutil.copytree(pair[1], tmp_path / "other")
    comparison = files.read_json(other / "compare" / "hair.json")
    comparison["rounds"][0]["test_ids"] = "other"
    files.write_json(comparison, other / "compare" / "hair.json")
    assert "They were tested on different images" in beside.make_page(pair[0], other)


def test_command_leaves_the_records_of_both_alone(pair, tmp_path):
    page = pair[0] / "both.html"
    before = (pair[0] / "report.run.json").read_bytes()
    options = ["--compare", *map(str, pair), "--page", str(page)]
    done = CliRunner().invoke(cli.main, ["page", *options])
    assert done.exit_code == 0, done.output
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert (pair[0] / "report.run.json").read_bytes() == before
