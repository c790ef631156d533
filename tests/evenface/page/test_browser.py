"""The pages in a browser: plots, sorted tables, enlarged pictures, keyboard, screen reader."""

from pathlib import Path

import pytest
from browser import Browser, find_chromium
from page_run import HOSTILE, TASKS, VERDICT, make_run

from evenface.page import beside, report

DRAWN = """new Promise((done) => {
  const wait = () => document.body.dataset.drawn ? done() : setTimeout(wait, 20);
  wait();
})"""
CTRL = 2  # of an input event
NOTED = ("serious", "critical")  # of what axe-core finds


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    run = make_run(folder / "avatars")
    page, both = folder / "index.html", folder / "both.html"
    page.write_text(report.make_page(run, "avatars", TASKS), encoding="utf-8")
    both.write_text(beside.make_page(run, run), encoding="utf-8")
    return {"report": page, "beside": both}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium or Chrome found to open the page with")
    with Browser(chromium, tmp_path_factory.mktemp("browser")) as browser:
        yield browser
        assert browser.problems == []  # refused loads and scripts among them


@pytest.fixture
def page(browser, pages):
    """The page of a run, wide and light, with its plots drawn."""
    show(browser, pages["report"], 1280, "light")
    return browser


def show(browser, path, width, scheme):
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    browser.open(path)
    browser.run(DRAWN)


def test_page_draws_its_plots_and_asks_for_nothing(page):
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    undrawn = "[...document.querySelectorAll('.plot')].filter((one) => !one.querySelector('path'))"
    waits = f"new Promise((done) => {{ const wait = () => {undrawn}.length ? setTimeout(wait, 20)"
    page.run(f"{waits} : done(); wait(); }})")
    asked = "performance.getEntriesByType('resource').map((one) => one.name)"
    assert [name for name in page.run(asked) if not name.startswith("data:")] == []
    assert page.run("document.querySelector('#verdict h2').textContent") == VERDICT
    assert HOSTILE in page.run("document.querySelector('#arms').textContent")


def test_plots_zoom_with_ctrl_alone_and_tell_their_figures(page):
    plot = "document.querySelector('#arms .plot')"
    ticks = f"[...{plot}.querySelectorAll('text')].map((one) => one.textContent)"
    place = f"{plot}.scrollIntoView({{block: 'center'}}), {plot}.getBoundingClientRect().toJSON()"
    box = page.run(place)
    at = {"x": box["left"] + box["width"] / 2, "y": box["top"] + 10}

    def wheel(modifiers):
        turned = {"deltaX": 0, "deltaY": -240, "modifiers": modifiers}
        page.call("Input.dispatchMouseEvent", type="mouseWheel", **at, **turned)
        page.run("new Promise((done) => setTimeout(done, 300))")
        return page.run(f"[{ticks}, scrollY]")

    before = page.run(f"[{ticks}, scrollY]")
    zoomed = wheel(CTRL)
    assert zoomed[0] != before[0] and zoomed[1] == before[1]
    scrolled = wheel(0)
    assert scrolled[0] == zoomed[0] and scrolled[1] < before[1]

    symbol = f"{plot}.querySelector('.mark-symbol path').getBoundingClientRect().toJSON()"
    box = page.run(symbol)
    for step in (0, 1):
        to = {"x": box["left"] + box["width"] / 2 + step, "y": box["top"] + box["height"] / 2}
        page.call("Input.dispatchMouseEvent", type="mouseMoved", **to)
    page.run("new Promise((done) => setTimeout(done, 300))")
    told = page.run("document.querySelector('#vg-tooltip-element').textContent")
    assert "synth@1.0" in told and "+0.030" in told and "better" in told


def test_tables_sort_and_filter(page):
    table = "document.querySelector('#classes ~ .columns table, #data .columns table')"
    page.run(f"{table}.closest('details').open = true")
    names = f"[...{table}.tBodies[0].rows].map((row) => row.cells[0].textContent)"
    before = page.run(names)
    counts = f"[...{table}.tBodies[0].rows].map((row) => Number(row.cells[4].textContent))"
    button = f"{table}.tHead.rows[0].cells[4].querySelector('button')"
    page.run(f"{button}.click()")
    assert page.run(counts) == sorted(page.run(counts))
    assert page.run(f"{table}.tHead.rows[0].cells[4].ariaSort") == "ascending"
    page.run(f"{button}.focus()")
    page.press("Enter")
    assert page.run(counts) == sorted(page.run(counts), reverse=True)
    assert sorted(page.run(names)) == sorted(before)


def test_long_tables_filter(page):
    found = page.run(
        """(() => {
          const rows = Array.from({length: 9}, (_, i) => `<tr><th>name ${i}</th><td>1</td></tr>`);
          const box = document.createElement("div");
          box.innerHTML = `<div class="scroll"><table><caption>x</caption><thead><tr><th>a</th>
            <th>b</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
          document.querySelector("main").append(box);
          filterable(box.querySelector("table"));
          const field = box.querySelector("input");
          field.value = "NAME 7";
          field.dispatchEvent(new Event("input"));
          return [...box.querySelectorAll("tbody tr")].filter((row) => !row.hidden).length;
        })()"""
    )
    assert found == 1


def test_pictures_enlarge_by_mouse_and_keyboard(page):
    page.click("#failures .card .enlarge")
    shown = "document.querySelector('#enlarged p').textContent"
    assert page.run("document.querySelector('#enlarged').open")
    first = page.run(shown)
    assert first == "Image 010.png, labelled black"
    page.press("ArrowRight")
    assert page.run(shown) == "Image 011.png, labelled black"
    page.press("Escape")
    assert not page.run("document.querySelector('#enlarged').open")
    assert page.run("document.activeElement.className") == "enlarge"


def test_first_key_leads_to_the_answer(page):
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "To the answer"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "main"


def test_lights_lead_to_their_evidence(page):
    links = "[...document.querySelectorAll('a.light')].map((one) => one.getAttribute('href'))"
    targets = page.run(links)
    assert targets == ["#wrong", "#split", "#gan", "#failures", "#arms"]
    for target in targets:
        assert page.run(f"document.querySelector('{target}') !== null")


@pytest.mark.parametrize("name", ["report", "beside"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_screen_reader_and_small_screen_lack_nothing(browser, pages, name, width, scheme):
    axe = pytest.importorskip("axe_core_python", reason="no axe-core")
    show(browser, pages[name], width, scheme)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    browser.run(f"{script}; 0")
    found = browser.run(
        """axe.run(document, {resultTypes: ["violations"]}).then((results) =>
          results.violations.map((one) => [one.impact, one.id, one.nodes[0].html.slice(0, 200)]))"""
    )
    assert [one for one in found if one[0] in NOTED] == []
    assert browser.run("document.documentElement.scrollWidth") <= width  # nothing sticks out


def test_figures_are_there_without_scripts(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=pages["report"].as_uri())
        browser.event("Page.loadEventFired")
        root = browser.call("DOM.getDocument")["root"]["nodeId"]
        table = browser.call("DOM.querySelector", nodeId=root, selector="#arms table")["nodeId"]
        text = browser.call("DOM.getOuterHTML", nodeId=table)["outerHTML"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "+0.030" in text and "<button" not in text
