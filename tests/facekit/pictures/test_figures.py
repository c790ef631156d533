"""Figures: the same bytes whenever and wherever they are drawn."""

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from facekit.pictures.figures import save_svg


def figure():
    drawn = Figure(figsize=(6, 4), layout="constrained")
    for row in drawn.subplots(2, 2):
        for axes in row:
            axes.barh(["black", "brown"], [3, 7])
            axes.set_title("hair · 10")
    return drawn


def test_the_last_digits_of_the_layout_change_nothing(tmp_path, monkeypatch):
    save_svg(figure(), tmp_path / "first.svg", {})
    execute = ConstrainedLayoutEngine.execute

    def shaken(self, fig):
        execute(self, fig)
        for i, axes in enumerate(fig.axes):
            left, bottom, width, height = axes.get_position(original=True).bounds
            axes._set_position((left + 1e-8 * i, bottom - 1e-8, width, height), which="original")

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", shaken)
    save_svg(figure(), tmp_path / "second.svg", {})
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
