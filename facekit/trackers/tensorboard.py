"""TensorBoard: event files beside a training's outputs, which it reads from that folder."""

from collections.abc import Mapping

from facekit.options import option
from facekit.trackers import TRACKERS, Run, Tracker


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Whether figures go to TensorBoard."""

    used: bool = option(
        True, "Write figures as event files of TensorBoard, beside the outputs.",
        changes_result=False,
    )  # fmt: skip

    def open(self, run: Run, known: str | None) -> "Events":
        """Begin event files, or further ones."""
        return Events(run)


class Events:
    """Event files of a training."""

    id = None

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter  # options are read without torch

        # Points that the stopped run wrote after its last state are written again.
        first = 0 if run.step is None else run.step + 1
        self._writer = SummaryWriter(str(run.outdir), purge_step=first)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures at a step."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, global_step=step)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Close the file."""
        self._writer.close()
