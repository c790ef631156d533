"""MLflow: the extra [mlflow]; a server, or a database or folder of files."""

import json
import os
import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator

from facekit.errors import DataError, reason_of
from facekit.options import TextOrNone, option
from facekit.trackers import TRACKERS, Run, Tracker, of_extra

EXPERIMENT = "evenface"  # where MLFLOW_EXPERIMENT_NAME says no other
AT_A_TIME = 100  # parameters that MLflow takes at once
LONGEST = 500  # characters of a parameter that every store takes


def _without_password(uri: str | None) -> str | None:
    if uri is not None and urlsplit(uri).password is not None:
        raise ValueError(
            "a password, which would stand in records; say it by MLFLOW_TRACKING_USERNAME and"
            " MLFLOW_TRACKING_PASSWORD"
        )
    return uri


@TRACKERS.register("mlflow")
class MLflow(Tracker):
    """Where MLflow takes figures."""

    uri: Annotated[TextOrNone, AfterValidator(_without_password)] = option(
        None,
        "Tracking server of MLflow that figures go to, too, such as http://host:5000; none: they go"
        " nowhere.",
        changes_result=False,
    )

    def open(self, run: Run, known: str | None) -> "Experiment":
        """Begin a run of the experiment, or go on with one."""
        with of_extra("mlflow"):
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        try:
            return Experiment(MlflowClient(tracking_uri=self.uri), run, known)
        except MlflowException as error:
            raise DataError(f"--mlflow {self.uri}: no run was begun ({reason_of(error)})") from None


class Experiment:
    """A run of an experiment."""

    def __init__(self, client: Any, run: Run, known: str | None) -> None:
        from mlflow.entities import Param

        self._client = client
        if known is not None:
            self.id = known
            client.update_run(known, status="RUNNING")
            return
        begun = client.create_run(_experiment_id(client), run_name=run.name)
        self.id = str(begun.info.run_id)
        client.set_tag(self.id, "program", run.program)
        settings = [
            Param(name, (value if isinstance(value, str) else json.dumps(value))[:LONGEST])
            for name, value in run.settings.items()
        ]
        for some in _parts(settings):
            client.log_batch(self.id, params=some)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures at a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        for some in _parts(metrics):
            self._client.log_batch(self.id, metrics=some)

    def close(self, failed: bool) -> None:
        """End the run."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")


def _parts(items: list) -> list[list]:
    return [items[k : k + AT_A_TIME] for k in range(0, len(items), AT_A_TIME)]


def _experiment_id(client: Any) -> str:
    """Return the id of the experiment, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another training made it meanwhile
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
