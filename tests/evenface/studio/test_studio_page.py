"""The studio as it is started: its address, its files, and its page in a browser."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import generators
import numpy as np
import pandas as pd
import portrait_classifiers as portraits
import pytest
import torch
from browser import Browser, find_chromium
from click.testing import CliRunner
from PIL import Image

pytest.importorskip("nicegui")

from evenface import cli
from evenface.studio.generators import CHOSEN, Face, Networks
from facedata.curation import review
from facedata.options import ReviewOptions
from facekit.storage import files, tables
from stylegan2.models.checkpoint import save_generator

HOSTILE = "<img src=x onerror=window.hacked=1>"
LOG = """\
Job stats:
job       count
------  -------
gan           1
page          2
total         3

Execute 1 jobs...
localrule page:
    jobid: 1
Finished jobid: 1 (Rule: page)
rule gan:
    jobid: 2
"""
SECONDS = 60  # for the page to show something


def make_run(folder):
    """Write a run of one network, one classifier, a review page and Snakemake's log."""
    results, photos = folder / "results" / "mine", folder / "photos"
    gan = results / "round0" / "gan" / "base"
    model = results / "round0" / "classifiers" / "looks" / "real" / "seed0" / "model.safetensors"
    log = folder / ".snakemake" / "log" / "2026-12-01T000000.1.snakemake.log"
    for each in (gan, model.parent, photos, log.parent):
        each.mkdir(parents=True)
    save_generator(*generators.make_generator(3), gan / CHOSEN)
    portraits.save(model)
    reported = {"Progress/kimg": {"mean": 1.5}, "Loss/G/loss": {"mean": 0.5}}
    (gan / "stats.jsonl").write_text(f"{json.dumps(reported)}\n")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 72, 3), dtype=np.uint8)
    for path in (gan / "fakes000001.png", photos / "one.png", folder / "secret.png"):
        Image.fromarray(pixels).save(path)
    (results / "link.png").symlink_to(folder / "secret.png")
    log.write_text(LOG)
    tables.write(make_index(), results / "index.parquet")
    files.write_json({"values": {"root": "photos"}}, results / "index.run.json")
    saved_as = "resources/mine/curation.csv"
    files.write_json({"values": {"saved_as": saved_as}}, results / "review.run.json")
    page = review.make_page(flagged(), "mine", saved_as, ReviewOptions(max_images=10))
    (results / "review.html").write_text(page, encoding="utf-8")
    return results


def make_index():
    index = pd.DataFrame({"image_id": ["a.jpg", HOSTILE], "path": ["one.png", "two.png"]})
    for column, kind in (("table_row", "Int64"), ("group", "str"), ("official_split", "str")):
        index[column] = pd.array([pd.NA] * 2, dtype=kind)
    return index.assign(smile=pd.Categorical(["no", "yes"]))


def flagged():
    """Return what a review page shows of two images on which no face was found."""
    index, ids = make_index(), ["a.jpg", HOSTILE]
    faces = {"image_id": ids, "probability": 0.1, "num_faces": 0, "non_face": True}
    pairs = pd.DataFrame(columns=["image_id_a", "image_id_b", "kind", "distance", "cluster"])
    return review.Data(
        index=index,
        row=pd.Series([0, 1], dtype="Int64"),
        boxes=np.array([[0.0, 0.0, 16.0, 16.0]] * 2),
        decisions=pd.DataFrame({"image_id": ids, "kept": True, "reason": None, "detail": ""}),
        rejected=pd.DataFrame({"image_id": [], "kept": [], "reason": [], "detail": []}),
        faces=pd.DataFrame(faces | {"several_faces": False}),
        duplicates=pairs.assign(conflict=pd.Series(dtype="str")),
        label_issues=None,
        rows=[],
        derived=[],
        images=np.zeros((2, 16, 16, 3), np.uint8),
    )


class Studio:
    """A studio that was started, as a person starts it."""

    def __init__(self, folder):
        self.results = make_run(folder)
        command = [sys.executable, "-m", "evenface.cli", "studio"]
        command += ["--port", "0", "--threads", "1", "--device", "cpu"]
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        found = re.search(r"open (http://127\.0\.0\.1:(\d+)/\?token=(\S+))", line)
        assert found, line + self.log.read_text()
        self.address, self.port, self.token = found[1], int(found[2]), found[3]

    def ask(self, path, cookie=True):
        """Return status and content of an address as it stands, which no client has tidied up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        kept = {"Cookie": f"evenface-studio-{self.port}={self.token}"} if cookie else {}
        connection.request("GET", path, headers=kept)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    studio = Studio(tmp_path_factory.mktemp("studio"))
    yield studio
    studio.process.terminate()
    assert studio.process.wait(SECONDS) in (0, -15)
    assert "Traceback" not in studio.log.read_text()


def test_nothing_is_told_without_the_token(studio):
    for path in ("/", "/?token=x", "/files/results/review.html", "/_nicegui_ws/socket.io/"):
        assert studio.ask(path, cookie=False)[0] == 403, path
    assert studio.ask("/")[0] == 200


def test_files_of_the_run_are_served_and_no_others(studio):
    for path in ("results/round0/gan/base/fakes000001.png", "photographs/one.png"):
        assert studio.ask(f"/files/{path}")[0] == 200, path
    secret = urllib.parse.quote(str(studio.results.parents[1] / "secret.png"), safe="")
    for path in (
        "results/../../secret.png",
        "results/..%2f..%2fsecret.png",
        "results/%2e%2e/%2e%2e/secret.png",
        "results/%252e%252e/%252e%252e/secret.png",
        "photographs/../secret.png",
        f"results/{secret}",
        "results/link.png",
        f"results/round0/gan/base/{CHOSEN}",
        "../secret.png",
        "elsewhere/one.png",
    ):
        assert studio.ask(f"/files/{path}")[0] == 404, path


def test_a_port_that_is_taken_is_told(studio):
    words = ["studio", "--results", str(studio.results), "--port", str(studio.port)]
    result = CliRunner().invoke(cli.main, [*words, "--device", "cpu", "--threads", "1"])
    assert result.exit_code == 1
    assert f"--port {studio.port}: Address already in use; --port 0" in result.output


def test_without_the_extra_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(cli.main, ["studio", "--results", str(tmp_path)])
    assert result.exit_code == 1
    assert "pip install 'evenface[studio]'" in result.output
    assert len(result.output.strip().splitlines()) == 1


# In a browser


@pytest.fixture(scope="module")
def browser(studio, tmp_path_factory):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium or Chrome found to use the page with")
    with Browser(chromium, tmp_path_factory.mktemp("browser")) as browser:
        browser.call("Network.enable")
        browser.asked = []
        note = browser._note

        def note_requests(message):
            note(message)
            if message.get("method") == "Network.requestWillBeSent":
                browser.asked.append(message["params"]["request"]["url"])

        browser._note = note_requests
        browser.open(studio.address)
        yield browser
        assert browser.problems == []
        hosts = {url.split("/")[2] for url in browser.asked if url.startswith(("http", "ws"))}
        assert hosts == {f"127.0.0.1:{studio.port}"}
        assert browser.run("window.hacked") is None


def wait(browser, expression):
    """Return the value of an expression as soon as it is true."""
    end = time.monotonic() + SECONDS
    while not (value := browser.run(expression)):
        assert time.monotonic() < end, (expression, browser.run("document.body.innerText"))
        time.sleep(0.1)
    return value


def aim(browser, tag, text):
    """Return a selector of the element of a kind that has this text."""
    wait(
        browser,
        f"""(() => {{
          document.querySelectorAll("[data-aim]").forEach((one) => delete one.dataset.aim);
          const all = [...document.querySelectorAll({json.dumps(tag)})];
          const found = all.find((one) => one.innerText.trim().toLowerCase() ==
            {json.dumps(text.lower())});
          if (found) found.dataset.aim = "yes";
          return Boolean(found);
        }})()""",
    )
    return "[data-aim]"


def panel(browser, name):
    browser.click(aim(browser, "[role=tab]", name))


def alts(browser, num, beginning):
    """Return what each picture is called, when there are so many and the first begins like this."""
    pictures = '[...document.querySelectorAll(".studio-pictures img")].map((one) => one.alt)'
    first = f"found[0].startsWith({json.dumps(beginning)})"
    return wait(
        browser,
        f"(() => {{ const found = {pictures};"
        f" return found.length == {num} && {first} && found; }})()",
    )


def test_faces_are_drawn_and_saved_as_the_library_draws_them(browser, studio):
    assert browser.run("location.href") == f"http://127.0.0.1:{studio.port}/"  # no token
    panel(browser, "Draw")
    found = alts(browser, 8, "seed 0, red/yes")
    assert found[7] == "seed 7, red/yes"
    saved = browser.download(aim(browser, "button", "Save as PNG"))
    name = f"round0/gan/base/{CHOSEN}"
    network = Networks(studio.results, torch.device("cpu")).load(name)
    assert saved == network.seeds(Face(0, "red/yes"), 8, 0.7).sheet()

    browser.run('document.querySelector("input[aria-label=Seed]").select()')
    browser.type("41")
    assert alts(browser, 8, "seed 41, red/yes")


def test_a_way_and_a_mixture_are_drawn(browser):
    panel(browser, "Draw")
    browser.click(aim(browser, "button", "Between two"))
    assert alts(browser, 9, "0% of the way")[8].startswith("100% of the way")
    browser.click(aim(browser, "button", "Mix"))
    assert len(alts(browser, 49, "")) == 49
    browser.click(aim(browser, "button", "Seeds"))
    alts(browser, 8, "seed")


def test_a_photograph_is_asked_about(browser, studio):
    panel(browser, "Ask")
    wait(browser, '!!document.querySelector("input.studio-upload")')
    browser.click("[role=switch]")  # no face is on it
    wait(browser, 'document.querySelector("[role=switch]").ariaChecked == "false"')
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="input.studio-upload")["nodeId"]
    path = str(studio.results.parents[1] / "photos" / "one.png")
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[path])
    status = 'document.querySelector(".studio-asked").innerText'
    wait(browser, f'{status} == "Models asked: 1."')
    cells = 'document.querySelector("[role=tabpanel] table, .q-table").innerText'
    table = browser.run(cells)
    assert "round0/classifiers/looks/real" in table
    assert re.search(r"(red|green|blue): \w+ \d+%", table)

    browser.run("document.querySelector('input[aria-label*=image_id]').select()")
    browser.type("a.jpg")
    browser.click(aim(browser, "button", "Ask"))
    wait(browser, 'document.querySelector(".studio-photo img")?.naturalWidth == 72')
    wait(browser, f'{status} == "Models asked: 1."')
    assert browser.run(cells) == table  # it is the same picture


def test_a_run_is_watched_and_refreshes_by_itself(browser, studio):
    panel(browser, "Watch")
    jobs = 'document.querySelector(".studio-jobs")?.innerText'
    wait(browser, f'{jobs}?.startsWith("1 of 3 jobs done")')
    training = 'document.querySelector(".studio-training")?.innerText'
    wait(browser, f'{training}?.startsWith("1.5 thousand real images shown")')
    wait(browser, 'document.querySelector(".studio-grid img")?.naturalWidth == 72')

    log = next((studio.results.parents[1] / ".snakemake" / "log").iterdir())
    log.write_text(f"{LOG}Finished jobid: 2 (Rule: gan)\n")
    with (studio.results / "round0" / "gan" / "base" / "stats.jsonl").open("a") as stats:
        stats.write(json.dumps({"Progress/kimg": {"mean": 2.5}}) + "\n")
    wait(browser, f'{jobs}.startsWith("2 of 3 jobs done")')
    wait(browser, f'{training}.startsWith("2.5 thousand")')


def test_what_is_decided_lies_where_the_run_reads_it(browser, studio):
    panel(browser, "Review")
    frame = 'document.querySelector("iframe.studio-review")?.contentDocument'
    wait(browser, f"!!{frame}?.querySelector('[data-section=\"non_faces\"]')")
    browser.run(f"{frame}.querySelector('[data-section=\"non_faces\"]').click()")
    labels = f"[...{frame}.querySelectorAll('.unit .acts label')]"
    drop = f"{labels}.find((one) => one.textContent.trim().startsWith('Drop'))"
    wait(browser, f"!!{drop}")
    browser.run(f"{drop}.click()")
    browser.run(f"{frame}.querySelector('#save').click()")
    wait(browser, 'document.querySelector(".studio-saved").innerText.startsWith("Saved, rows: 1;")')
    saved = studio.results.parents[1] / "resources" / "mine" / "curation.csv"
    assert saved.read_text() == "image_id,action,attribute,value,note\na.jpg,drop,,,\n"
    wait(browser, f"!{frame}.querySelector('#save').classList.contains('unsaved')")


def test_a_screen_reader_misses_nothing_serious(browser):
    axe = pytest.importorskip("axe_core_python")
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    browser.run(f"{script}; 0")
    for name in ("Draw", "Ask", "Watch", "Review"):
        panel(browser, name)
        found = browser.run(
            "axe.run(document, {resultTypes: ['violations'], iframes: false}).then((found) =>"
            " found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => [one.id, one.nodes.map((node) => node.html)]))"
        )
        assert found == [], name
