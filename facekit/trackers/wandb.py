"""Weights & Biases: the extra [wandb]; WANDB_MODE=offline keeps figures in the outputs' folder."""

from collections.abc import Mapping
from typing import Any

from facekit.errors import DataError, reason_of
from facekit.options import TextOrNone, option
from facekit.trackers import TRACKERS, Run, Tracker, of_extra

STEP = "images"  # shown; what figures are drawn over


@TRACKERS.register("wandb")
class WandB(Tracker):
    """The project of Weights & Biases that figures go to."""

    project: TextOrNone = option(
        None, "Project of Weights & Biases that figures go to, too; none: they go nowhere.",
        changes_result=False,
    )  # fmt: skip

    def open(self, run: Run, known: str | None) -> "Project":
        """Begin a run of the project, or go on with one."""
        with of_extra("wandb"):
            import wandb
        try:
            begun = wandb.init(
                project=self.project,
                name=run.name,
                job_type=run.program,
                id=known,
                resume="allow",
                config=dict(run.settings),
                dir=run.outdir,
                settings=wandb.Settings(silent=True),
            )
        except (wandb.Error, ValueError) as error:  # no key, no network, no such name
            raise DataError(
                f"--wandb {self.project}: no run was begun ({reason_of(error)})"
            ) from None
        return Project(begun)


class Project:
    """A run of a project."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self.id = str(run.id)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures at a step."""
        self._run.log({**figures, STEP: step})

    def close(self, failed: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=int(failed))
