"""What the rules ask: paths of a run, and the text of each command's options.

The rules hold inputs, outputs and commands alone; what depends on the settings stands here, where a
test can call it.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers import options as classifiers_options
from classifiers.arms import ARMS, JOIN, REAL, VALUE, Arm, is_synthetic, read_arm
from classifiers.augmentations import AUGMENTATIONS
from classifiers.losses import LOSSES, NUMERIC_LOSSES
from classifiers.samplers import SAMPLERS
from evenface import digest, settings
from evenface.options import CompareOptions
from evenface.settings import Settings
from facedata import options as facedata_options
from facekit.errors import DataError
from facekit.options import Options, changes_result, command_text, flag_of
from stylegan2 import options as stylegan2_options

# The options of each stage's command, and the sections of the settings that they are taken from:
# where two have a key, the first counts.
STAGES: Mapping[str, tuple[type[Options], tuple[str, ...]]] = {
    "faces": (facedata_options.FacesOptions, ("faces",)),
    "dedup": (facedata_options.DedupOptions, ("dedup",)),
    "screen": (facedata_options.ScreenOptions, ("curate", "dedup", "labels", "split")),
    "crossval": (classifiers_options.CrossvalOptions, ("labels", "classify")),
    "curate": (facedata_options.CurateCommandOptions, ("curate", "dedup")),
    "review": (facedata_options.ReviewOptions, ("review",)),
    "split": (facedata_options.SplitOptions, ("split",)),
    "split_check": (facedata_options.SplitCheckOptions, ("split",)),
    "pack": (facedata_options.PackOptions, ("gan",)),
    "deficits": (facedata_options.DeficitsOptions, ("synth",)),
    "gan": (stylegan2_options.TrainOptions, ("gan",)),
    "gan_metrics": (stylegan2_options.MetricsOptions, ("gan_metrics",)),
    "synth": (stylegan2_options.SynthOptions, ("synth",)),
    "filter": (classifiers_options.FilterOptions, ("synth",)),
    "classify": (classifiers_options.TrainOptions, ("classify",)),
    "evaluate": (classifiers_options.EvaluateOptions, ("evaluate",)),
    "ensemble": (classifiers_options.FiguresOptions, ("evaluate",)),
    "compare": (CompareOptions, ("compare",)),
}

PAGE_RECORD = "report.run.json"  # of `evenface page`


class Run:
    """One run: its settings, and where its files lie."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check a config and the data set's own tables.

        Raises:
            DataError: one line that names the key or the file.
        """
        self.settings: Settings = settings.read(config)
        self._check_inputs()
        self._page_before = self._page_made()

    def _check_inputs(self) -> None:
        """Check the files that come from outside: Snakemake has no way to say a brace in a path."""
        try:
            given = [*self.tables(), *self.resume(), *self.metric_weights()]
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from None
        for path in [*given, *self.backbone_weights()]:
            if "{" in path:
                raise DataError(f"{path}: Snakemake takes braces for wildcards; rename it")

    # --- Paths

    def results(self, path: str) -> str:
        """Put the run's own folder before a path."""
        return f"results/{self.settings.dataset}/{path}"

    def gan(self, path: str) -> str:
        """Put the GAN's folder before a path."""
        return self.results(f"gan/{self.settings.gan.run}/{path}")

    def synth(self, path: str) -> str:
        """Put the synthetic images' folder before a path."""
        return self.results(f"synth/{self.settings.synth.run}/{path}")

    def root(self) -> str:
        """Folder of the data set; an adapter that draws its own has one below results/."""
        return self.settings.dataset_root or self.results("source")

    def tables(self) -> list[str]:
        """The data set's own tables, so that an edit of one makes everything again."""
        return [str(path) for path in self.settings.adapter.tables(Path(self.root()))]

    def curation_path(self) -> str:
        """Where the reviewer's list belongs."""
        return f"resources/{self.settings.dataset}/curation.csv"

    def curation(self) -> list[str]:
        """The reviewer's list, where there is one."""
        return [self.curation_path()] if Path(self.curation_path()).is_file() else []

    def resume(self) -> list[str]:
        """The network that the GAN begins with, where there is one."""
        return _listed(self.settings.gan.resume)

    def metric_weights(self) -> list[str]:
        """The file of the weights that GAN metrics take their features from, where one is named."""
        return _listed(self.settings.gan_metrics.weights)

    def backbone_weights(self) -> list[str]:
        """The file of the weights that classifiers begin with, where one is named."""
        return _listed(self.settings.classify.weights_file)

    def teacher(self) -> str:
        """The classifier that checks synthetic images: trained on all real images of train."""
        of_all = "all/" if self.settings.classify.use_folds else ""
        seed = f"{self.settings.tasks[0].name}/real/seed{self.settings.seeds[0]}"
        return self.results(f"classifiers/{seed}/{of_all}model.safetensors")

    def arm_files(self, name: str) -> list[str]:
        """One file of every arm and seed of a task."""
        return [
            self.results(f"classifiers/{{task}}/{arm}/seed{seed}/{name}")
            for arm in self.settings.arms
            for seed in self.settings.seeds
        ]

    def seed_models(self) -> list[str]:
        """The classifiers that are measured as one: that of a seed, or those of its folds."""
        folds = [f"fold{k}/" for k in range(self.settings.split.folds)]
        return [
            self.results(f"classifiers/{{task}}/{{arm}}/seed{{seed}}/{fold}model.safetensors")
            for fold in (folds if self.settings.classify.use_folds else [""])
        ]

    def seed_files(self, name: str) -> list[str]:
        """One file of every seed of an arm."""
        return [
            self.results(f"classifiers/{{task}}/{{arm}}/seed{seed}/{name}")
            for seed in self.settings.seeds
        ]

    def ensembles(self) -> list[str]:
        """The mean of all seeds of each arm, where there are several."""
        if len(self.settings.seeds) < 2:
            return []
        return [
            self.results(f"classifiers/{task.name}/{arm}/ensemble/metrics.json")
            for task in self.settings.tasks
            for arm in self.settings.arms
        ]

    def task_files(self, pattern: str) -> list[str]:
        """One file a task; the pattern says {task}."""
        return [self.results(pattern.format(task=task.name)) for task in self.settings.tasks]

    def synth_inputs(self, wildcards: Any) -> dict[str, str]:
        """Synthetic images, for the arms that learn from them."""
        if not is_synthetic(wildcards.arm):
            return {}
        return {
            "synth_images": self.synth("images.npy"),
            "synth_samples": self.synth("samples.parquet"),
            "deficits": self.results("deficits.csv"),
        }

    # --- Text of a command

    def options(self, stage: str, **given: Any) -> str:
        """Return the options of a stage's command whose values can change its result.

        Args:
            stage: one of STAGES.
            given: values in place of the settings' own.
        """
        return _text(self._stage_options(stage, given), with_effect=True)

    def harmless(self, stage: str) -> Callable:
        """Return a function of a rule that gives the options that cannot change a result.

        Snakemake remakes nothing when what a function of `threads` returns has changed.
        """
        text = _text(self._stage_options(stage, {}), with_effect=False)
        return lambda wildcards, threads: text

    def _stage_options(self, stage: str, given: Mapping[str, Any]) -> Options:
        cls, names = STAGES[stage]
        values = {
            field: getattr(section, field)
            for section in (getattr(self.settings, name) for name in reversed(names))
            for field in cls.model_fields
            if field in type(section).model_fields
        }
        return cls.model_validate({**values, **given})

    def ingest_settings(self) -> str:
        """The chosen adapter's own settings."""
        return json.dumps(self.settings.adapter.plain())

    def geometries(self) -> str:
        """Sizes to pack, by name."""
        return json.dumps(self.settings.geometries.plain())

    def geometry(self) -> str:
        """Size of the classifiers' images."""
        return json.dumps(self.settings.geometries.classifier.plain())

    def derived(self) -> str:
        """How attributes follow from others: a reviewer's new age changes the age group."""
        return json.dumps(self.settings.adapter.derivations())

    def judged(self) -> list[str]:
        """Attributes whose labels are checked; those derived from others follow these."""
        names = self.settings.labels.attributes
        return self.settings.adapter.given_attributes() if names == "all" else list(names)

    def tasks(self) -> str:
        """All tasks, as JSON text."""
        return json.dumps([task.plain() for task in self.settings.tasks])

    def heads(self, wildcards: Any) -> str:
        """The heads of a task, as JSON text."""
        return json.dumps([head.plain() for head in self.settings.task(wildcards.task).heads])

    def verdict(self, wildcards: Any) -> str:
        """What the arms of a task are judged by."""
        verdict = self.settings.task(wildcards.task).verdict
        return _text(verdict, with_effect=True)

    def code(self, command: str) -> str:
        """Digest of a command's code: a comment does not change it, a computation does."""
        return digest.code_digest(command, {"adapter": self.settings.ingest.adapter})

    def training_code(self, wildcards: Any) -> str:
        """Digest of the code of an arm's trainings, without choices that it does not take."""
        classify = self.settings.classify
        heads = self.settings.task(wildcards.task).heads
        losses = [classify.loss.with_own(head.loss) for head in heads]
        chosen = _taken(classify, losses, read_arm(wildcards.arm))
        return digest.code_digest("classifiers train", chosen)

    def judging_code(self) -> str:
        """Digest of the code of the trainings that judge labels, likewise."""
        recipe = classifiers_options.TrainOptions(augment=classifiers_options.LIGHT)
        chosen = _taken(recipe, [recipe.loss], read_arm(REAL))
        return digest.code_digest("classifiers crossval", chosen)

    def verdicts(self) -> str:
        """Last words of a run: each task's verdict and where the page lies, if it made the page."""
        page = Path(self.results("index.html"))
        found = [Path(path) for path in self.task_files("compare/{task}.txt")]
        is_new = self._page_made() not in (None, self._page_before)
        if not (is_new and page.is_file() and all(path.is_file() for path in found)):
            return ""
        lines = [path.read_text(encoding="utf-8").strip() for path in found]
        return "\n".join(["", *lines, f"Report: {page.resolve()}", ""])

    def _page_made(self) -> int | None:
        """When the page was made; its record tells, which `snakemake --touch` leaves alone."""
        try:
            return Path(self.results(PAGE_RECORD)).stat().st_mtime_ns
        except FileNotFoundError:
            return None


def read_run(config: Mapping[str, Any]) -> Run:
    """Return the run of a config, or end with one line that says what is wrong."""
    try:
        return Run(config)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


# --- Functions of rules


def literal(function: Callable[..., str]) -> Callable[..., Callable]:
    """Return a function that gives a rule a text as it is.

    In a text that is no function's, names in braces are taken for wildcards.
    """

    def as_it_is(*arguments: Any, **given: Any) -> Callable:
        text = function(*arguments, **given)
        return lambda wildcards: text

    return as_it_is


def folder_of(name: str) -> Callable:
    """The folder that an output lies in, for a command that fills it."""
    return lambda wildcards, output: str(Path(output[name]).parent)


def file_option(flag: str, name: str) -> Callable:
    """An option with an input file that a rule may do without."""
    return lambda wildcards, input: f"{flag} {shlex.quote(str(input[name]))}" if input[name] else ""


def synth_options(wildcards: Any, input: Any) -> str:
    """Options with the synthetic images, for the arms that learn from them."""
    if not is_synthetic(wildcards.arm):
        return ""
    return (
        f"--synth-images {input.synth_images} --synth-samples {input.synth_samples}"
        f" --deficits {input.deficits}"
    )


def fold_option(wildcards: Any) -> str:
    """The fold that a classifier does not learn from, where it is one of several."""
    number = wildcards.fold.rpartition("fold")[2]
    return f"--fold {number}" if number.isdigit() else ""


def _taken(
    recipe: classifiers_options.TrainOptions,
    losses: Sequence[classifiers_options.LossOptions],
    arm: Arm,
) -> dict[str, set[str]]:
    """Return the choices that a training takes, by kind."""
    losses = [arm.loss(loss) for loss in losses]
    return {
        LOSSES.kind: {loss.kind for loss in losses},
        NUMERIC_LOSSES.kind: {loss.numeric for loss in losses},
        SAMPLERS.kind: {arm.sampler(recipe.sampler)},
        AUGMENTATIONS.kind: set(recipe.augment.used),
        ARMS.kind: {part.partition(VALUE)[0] for part in arm.name.split(JOIN)},
    }


def _text(options: Options, with_effect: bool) -> str:
    """Return options as text for a shell: those that can change a result, or the others."""
    parts = []
    for name, field in type(options).model_fields.items():
        if changes_result(field) != with_effect:
            continue
        flag, value = flag_of(name, field), getattr(options, name)
        if field.annotation is bool:
            parts.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            plain = value.effective() if isinstance(value, Options) else value
            parts.append(f"{flag} {shlex.quote(command_text(plain))}")
    return " ".join(parts)


def _listed(path: str | None) -> list[str]:
    return [] if path is None else [path]
