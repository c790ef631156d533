"""The studio's page: a panel for each thing that one can do, built of NiceGUI's elements."""

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from nicegui import events, run, ui

from evenface.studio import decisions, progress
from evenface.studio.folders import PHOTOGRAPHS, RESULTS, Folders
from evenface.studio.generators import Drawn, Face, Network, Networks, png
from evenface.studio.models import Models, Said
from evenface.studio.uploads import Uploads
from facekit.errors import DataError

MAX_SEED = 2**32 - 1
SLIDER_SEEDS = 999  # how far a slider reaches; a field takes all
REFRESH = 2.0  # seconds
CHART_TEXT, CHART_LINE = "#808080", "#80808040"  # legible on light and on dark
STEPS = 8  # of the way between two seeds
STYLE = """
body { font-family: system-ui, sans-serif; }
.nicegui-content { max-width: 76rem; margin: 0 auto; align-items: stretch; }
.studio-controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  gap: .25rem 1.5rem; align-items: end; width: 100%; }
.studio-pictures { display: grid; gap: .35rem; width: 100%; max-width: 62rem; }
.studio-pictures img { width: 100%; height: auto; image-rendering: pixelated; border-radius: 4px; }
.studio-grid img { max-width: 100%; height: auto; image-rendering: pixelated; }
.studio-faces { display: flex; flex-wrap: wrap; gap: .75rem; }
.studio-faces figure { margin: 0; text-align: center; }
.studio-faces img { height: 9rem; image-rendering: pixelated; }
.studio-photo img { max-height: 14rem; max-width: 100%; }
input.studio-upload { width: 100%; padding: 1.5rem; border: 2px dashed #8886; border-radius: 8px; }
.nicegui-link { color: #2f5fb3; }
.body--dark .nicegui-link { color: #8db3f2; }
.studio-soft { opacity: .8; }
iframe.studio-review { width: 100%; height: 78vh; border: 1px solid #8886; }
"""
# A photograph goes to the server by itself, and the page is told its key. The review page in its
# frame hands the list over; the frame is told what became of it.
SCRIPT = """
document.addEventListener("change", async (event) => {
  const file = event.target.matches("input.studio-upload") && event.target.files[0];
  if (!file) return;
  const answer = await fetch("/photographs", { method: "POST", body: file });
  emitEvent("photograph", { key: answer.ok ? await answer.text() : "", name: file.name });
});
window.addEventListener("message", (event) => {
  const frame = document.querySelector("iframe.studio-review");
  if (event.origin !== location.origin || event.source !== frame?.contentWindow) return;
  if (typeof event.data?.curation === "string") emitEvent("curation", event.data.curation);
});
"""


class Studio:
    """The page, made anew for each window; networks and models are held by the process."""

    def __init__(self, folders: Folders, device: torch.device) -> None:
        """Be ready to show a run, drawing and predicting on a device."""
        self.folders = folders
        self.networks = Networks(folders.results, device)
        self.models = Models(folders.results, device)
        self.uploads = Uploads()
        self.computing = asyncio.Lock()  # one thing at a time: each takes all cores

    def page(self) -> None:
        """Build the page."""
        ui.add_css(STYLE)
        ui.add_body_html(f"<script>{SCRIPT}</script>")
        ui.colors(primary="#2f5fb3")
        with ui.header(), ui.element("h1").style("font-size: 1.2rem; margin: 0; line-height: 2rem"):
            ui.label(f"Evenface studio: {self.folders.results.resolve().name}")
        with ui.tabs() as tabs:
            names = [ui.tab(name) for name in ("Draw", "Ask", "Watch", "Review")]
        with ui.tab_panels(tabs, value=names[0], animated=False).style("width: 100%"):
            for name, build in zip(
                names, (self._draw, self._ask, self._watch, self._review), strict=True
            ):
                with ui.tab_panel(name):
                    build()

    # --- Draw

    def _draw(self) -> None:
        with _told():
            networks = self.networks.names()
        if not networks:
            ui.label(
                "No generator there yet; Watch tells how far the run is. Then reload the page."
            )
            return
        shown: dict[str, Drawn] = {}
        with ui.element("div").classes("studio-controls"):
            network = ui.select(networks, value=networks[0], label="Network")
            what = ui.toggle(["Seeds", "Between two", "Mix"], value="Seeds")
            psi = _Slider("Truncation", 0, 1.5, 0.05, 0.7)
            number = _Slider("Images", 1, 16, 1, 8)
        with ui.element("div").classes("studio-controls"):
            first = _FaceControls("Seed", 0)
            second = _FaceControls("Second seed", 1)
            low = _Slider("First layer of the second seed", 0, 1, 1, 0)
            high = _Slider("Last layer of the second seed", 0, 1, 1, 0)
        second.show(False)
        low.visible = high.visible = False
        pictures = ui.element("div").classes("studio-pictures")
        ui.button("Save as PNG", on_click=lambda: self._save(shown, first))

        def arrange(loaded: Network) -> None:
            """Offer what fits to the network and to what is drawn."""
            for face in (first, second):
                face.offer(loaded.class_names)
            last = loaded.network.num_ws - 1
            if high.slider.props["max"] != last:
                low.slider.props["max"] = high.slider.props["max"] = last
                high.slider.value = last // 2
            second.show(what.value != "Seeds")
            number.visible = what.value != "Between two"
            low.visible = high.visible = what.value == "Mix"

        async def draw() -> None:
            loaded = await self._compute(self.networks.load, network.value)
            arrange(loaded)
            if what.value == "Seeds":
                work: tuple[Any, ...] = (loaded.seeds, first.face(), int(number.value), psi.value)
            elif what.value == "Between two":
                work = (loaded.between, first.face(), second.face(), STEPS, psi.value)
            else:
                span = (int(low.value), max(int(low.value), int(high.value)))
                num = min(int(number.value), 6)
                work = (loaded.mixed, first.face(), second.face(), num, span, psi.value)
            shown["now"] = await self._compute(*work)
            _show(pictures, shown["now"])

        redraw = _latest(draw)
        for control in (
            network,
            what,
            psi.slider,
            number.slider,
            low.slider,
            high.slider,
            *first.all,
            *second.all,
        ):
            control.on_value_change(redraw)
        ui.timer(0, redraw, once=True)

    def _save(self, shown: dict[str, Drawn], first: "_FaceControls") -> None:
        if "now" in shown:
            ui.download.content(shown["now"].sheet(), f"faces-seed{first.face().seed}.png")

    # --- Ask

    def _ask(self) -> None:
        with _told():
            groups = list(self.models.groups())
        if not groups:
            ui.label("No trained classifier there yet; Watch tells how far the run is.")
            return
        ui.label(
            "Drop a photograph: each face is found and turned as in training, and every trained"
            " model of the run says what it sees; of an arm's seeds the mean counts."
            " The photograph stays on this machine, and goes when the studio ends."
        )
        upload = ui.element("input").classes("studio-upload")
        upload.props('type=file accept="image/*" aria-label="A photograph"')
        with ui.row().style("align-items: center"):
            is_aligned = ui.switch("Find faces and turn them; off for thumbnails", value=True)
            image_id = ui.input("or the image_id of an image of the data set").style("width: 22rem")
            button = ui.button("Ask")
        state = ui.label("").classes("studio-asked").props("role=status")
        photo = ui.element("div").classes("studio-photo")
        faces = ui.element("div").classes("studio-faces")
        table = ui.table(
            columns=[{"name": "model", "label": "Model", "field": "model", "align": "left",
                      "sortable": True}],
            rows=[], row_key="key",
        ).style("width: 100%")  # fmt: skip
        table.visible = False

        async def ask(path: Path, is_aligned: bool) -> None:
            faces.clear()
            table.rows.clear()
            table.columns[1:] = []
            table.visible = True
            for number, group in enumerate(self.models.groups(), start=1):
                state.text = f"Asking {number} of {len(self.models.groups())}: {group}"
                said = await self._compute(self.models.ask, group, path, is_aligned)
                if number == 1:
                    with faces:
                        _thumbnails(said)
                for face in said:
                    table.rows.append(_row(group, face, len(table.rows)))
                    known = {column["name"] for column in table.columns}
                    table.columns.extend(
                        {"name": f"head {name}", "label": name, "field": f"head {name}",
                         "align": "left", "sortable": True}
                        for name in face.heads if f"head {name}" not in known
                    )  # fmt: skip
                table.update()
            state.text = f"Models asked: {len(self.models.groups())}."

        async def ask_uploaded(event: events.GenericEventArguments) -> None:
            photo.clear()
            with _told(state):
                path = self.uploads.take(event.args["key"], event.args["name"])
                await ask(path, is_aligned.value)

        async def ask_of_set() -> None:
            photo.clear()
            with _told(state):
                name = self.folders.photograph(image_id.value)
                path = self.folders.file(PHOTOGRAPHS, name)
                if path is None:
                    raise DataError(f"{name}: no such picture in {self.folders.photographs}")
                with photo:
                    source = f"/files/{PHOTOGRAPHS}/{quote(name)}"
                    _picture(source, f"Photograph {image_id.value}")
                await ask(path, False)  # as in training

        ui.on("photograph", ask_uploaded)
        button.on_click(ask_of_set)

    # --- Watch

    def _watch(self) -> None:
        ui.label("Jobs").props("role=heading aria-level=2").style("font-size: 1.1rem")
        summary = ui.label("").classes("studio-jobs")
        bar = ui.linear_progress(0, show_value=False).props('aria-label="Jobs done"')
        now = ui.label("").classes("studio-soft")
        failed = ui.label("").style("color: #b3382c; font-weight: 600")
        with ui.expansion("By stage").style("width: 100%") as by_stage:
            stages = ui.table(
                columns=[{"name": name, "label": label, "field": name, "align": "left",
                          "sortable": True}
                         for name, label in (("rule", "Stage"), ("done", "Done"), ("total", "Of"))],
                rows=[], row_key="rule",
            )  # fmt: skip
        ui.label("Generators").props("role=heading aria-level=2").style(
            "font-size: 1.1rem; margin-top: 1rem"
        )
        which = ui.select([], label="Training").style("min-width: 20rem")
        told = ui.label("").classes("studio-training")
        charts = ui.row().style("width: 100%")
        grid = ui.element("div").classes("studio-grid")
        seen: dict[str, Any] = {}

        def jobs() -> None:
            path = progress.newest_log(self.folders.started_in)
            if path is None:
                summary.text = f"No run of Snakemake was started in {self.folders.started_in}."
                bar.visible = by_stage.visible = False
                return
            found = progress.read_jobs(path)
            done, total = sum(found.done.values()), sum(found.total.values())
            age = max(0, time.time() - found.written)
            summary.text = f"{done} of {total} jobs done; last news {_ago(age)} ago."
            bar.visible = by_stage.visible = True
            bar.value = done / max(1, total)
            now.text = "Begun: " + "; ".join(map(_job, found.running)) if found.running else ""
            failed.text = "Failed: " + "; ".join(map(_job, found.failed)) if found.failed else ""
            rows = [{"rule": rule, "done": found.done.get(rule, 0), "total": number}
                    for rule, number in found.total.items()]  # fmt: skip
            if rows != stages.rows:
                stages.rows = rows

        def training() -> None:
            names = progress.trainings(self.folders.results)
            if names != which.options:
                which.set_options(names, value=which.value or (names[-1] if names else None))
            if not which.value:
                told.text = "No generator has reported yet."
                return
            folder = self.folders.results / which.value
            state = (which.value, (folder / "stats.jsonl").stat().st_mtime_ns)
            if seen.get("state") == state:
                return
            seen["state"] = state
            found = progress.read_training(folder)
            told.text = _training(found)
            charts.clear()
            with charts:
                for title, series in found.curves.items():
                    _chart(title, series)
            grid.clear()
            if found.grid is not None:
                name = found.grid.relative_to(self.folders.results).as_posix()
                version = found.grid.stat().st_mtime_ns
                with grid:
                    ui.label(f"{found.grid.name}: samples drawn last").classes("studio-soft")
                    source = f"/files/{RESULTS}/{quote(name)}?{version}"
                    _picture(source, f"Generated samples of {which.value}")

        def look() -> None:
            with _told(told):
                jobs()
                training()

        which.on_value_change(look)
        ui.timer(REFRESH, look)

    # --- Review

    def _review(self) -> None:
        results = self.folders.results
        if (results / "index.html").is_file():
            ui.link("Page of results", f"/files/{RESULTS}/index.html", new_tab=True)
        if not (results / decisions.PAGE).is_file():
            ui.label("No review page there yet; `evenface run review` makes it.")
            return
        state = ui.label("Save in the page lays the list where the next run reads it.")
        state.classes("studio-saved").props("role=status")
        frame = ui.element("iframe").classes("studio-review")
        frame.props["src"] = f"/files/{RESULTS}/{decisions.PAGE}"
        frame.props["title"] = "Review of the images that were flagged"

        def save(event: events.GenericEventArguments) -> None:
            with _told(state):
                path, num_rows = decisions.save(str(event.args), self.folders)
                state.text = f"Saved, rows: {num_rows}; `evenface run` follows {path}."
                ui.run_javascript(
                    'document.querySelector("iframe.studio-review").contentWindow'
                    ".postMessage({isSaved: true}, location.origin)"
                )

        ui.on("curation", save)

    # --- For all of them

    async def _compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns that takes its time; the page goes on meanwhile."""
        async with self.computing:
            return await run.io_bound(work, *arguments)


class _Slider:
    """A slider with its name and its value above it."""

    def __init__(self, name: str, low: float, high: float, step: float, value: float) -> None:
        with ui.element("div") as self.box:
            label = ui.label()
            self.slider = ui.slider(min=low, max=high, step=step, value=value)
            self.slider.props["aria-label"] = name
            label.bind_text_from(self.slider, "value", lambda one: f"{name}: {one:g}")

    @property
    def value(self) -> float:
        return self.slider.value

    @property
    def visible(self) -> bool:
        return self.box.visible

    @visible.setter
    def visible(self, is_shown: bool) -> None:
        self.box.visible = is_shown


class _FaceControls:
    """What chooses a face: seed, and class where the network knows classes."""

    def __init__(self, name: str, seed: int) -> None:
        with ui.element("div") as self.box:
            self.seed = ui.number(name, value=seed, min=0, max=MAX_SEED, precision=0)
            self.slider = ui.slider(min=0, max=SLIDER_SEEDS, value=seed)
            self.slider.props["aria-label"] = f"{name}, slider"
            self.slider.on_value_change(lambda: self.seed.set_value(self.slider.value))
            self.class_name = ui.select([], label=f"Class of the {name.lower()}")
            self.class_name.style("min-width: 12rem")
        self.all = (self.seed, self.class_name)

    def offer(self, classes: Sequence[str]) -> None:
        """Offer the classes of a network."""
        if list(classes) != self.class_name.options:
            kept = self.class_name.value if self.class_name.value in classes else None
            first = classes[0] if classes else None
            self.class_name.set_options(list(classes), value=kept or first)
        self.class_name.visible = bool(classes)

    def show(self, is_shown: bool) -> None:
        self.box.visible = is_shown

    def face(self) -> Face:
        """Return what is chosen."""
        seed = min(max(int(self.seed.value or 0), 0), MAX_SEED - 16)
        return Face(seed, self.class_name.value)


def _latest(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Return a handler that works for the last of many changes, and tells what went wrong."""
    asked = {"now": 0, "is_busy": False}

    async def handle() -> None:
        asked["now"] += 1
        if asked["is_busy"]:
            return
        asked["is_busy"] = True
        try:
            done = 0
            while done != asked["now"]:
                done = asked["now"]
                with _told():
                    await work()
        finally:
            asked["is_busy"] = False

    return handle


@contextlib.contextmanager
def _told(state: ui.label | None = None) -> Iterator[None]:
    """Tell on the page what is wrong with the input, where it is."""
    try:
        yield
    except (DataError, OSError) as error:
        if state is not None:
            state.text = str(error)
        else:
            ui.notify(str(error), type="negative", multi_line=True, close_button="Close")


def _picture(source: str, alt: str) -> ui.element:
    picture = ui.element("img")
    picture.props["src"] = source
    picture.props["alt"] = alt
    return picture


def _pixels(image: np.ndarray, alt: str) -> ui.element:
    text = base64.b64encode(png(image)).decode("ascii")
    return _picture(f"data:image/png;base64,{text}", alt)


def _show(box: ui.element, drawn: Drawn) -> None:
    box.clear()
    box.style(f"grid-template-columns: repeat({drawn.num_columns}, minmax(0, 12rem))")
    with box:
        for image, name in zip(drawn.images, drawn.names, strict=True):
            _pixels(image, name).props["title"] = name


def _thumbnails(said: Sequence[Said]) -> None:
    for one in said:
        with ui.element("figure"):
            if one.thumbnail is not None:
                name = "the photograph" if one.face is None else f"face {one.face}"
                _pixels(one.thumbnail, f"As models see {name}")
                with ui.element("figcaption"):
                    ui.label(name)


def _row(group: str, said: Said, key: int) -> dict[str, Any]:
    """Return a row of the table of answers."""
    face = "" if said.face is None else f", face {said.face}"
    note = f": {said.problem}" if said.problem else ""
    cells = {}
    for head, value in said.heads.items():
        shares = said.probabilities.get(head)
        rest = "" if shares is None else ": " + ", ".join(f"{n} {p:.0%}" for n, p in shares[:4])
        cells[f"head {head}"] = f"{value}{rest}"
    return {"key": key, "model": f"{group}{face}{note}", **cells}


def _job(job: progress.Job) -> str:
    return f"{job.rule} ({job.wildcards})" if job.wildcards else job.rule


def _training(found: progress.Training) -> str:
    if math.isnan(found.kimg):
        return "It has not reported yet."
    pace = found.seconds_a_kimg
    speed = "" if math.isnan(pace) else f", {pace:.3g} s for each thousand"
    return f"{found.kimg:.3g} thousand real images shown{speed}."


def _ago(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _chart(title: str, series: dict[str, list[tuple[float, float]]]) -> None:
    axis = {
        "axisLabel": {"color": CHART_TEXT},
        "nameTextStyle": {"color": CHART_TEXT},
        "splitLine": {"lineStyle": {"color": CHART_LINE}},
    }
    ui.echart(
        {
            "title": {"text": title, "textStyle": {"fontSize": 13, "color": CHART_TEXT}},
            "animation": False,
            "aria": {"enabled": True},
            "tooltip": {"trigger": "axis"},
            "legend": {"bottom": 0, "textStyle": {"color": CHART_TEXT}},
            "xAxis": {"type": "value", "name": "kimg", **axis},
            "yAxis": {"type": "value", "scale": True, **axis},
            "series": [
                {"type": "line", "name": name, "showSymbol": len(points) < 3, "data": points}
                for name, points in series.items()
            ],
        }
    ).style("width: 30rem; max-width: 100%; height: 16rem")
