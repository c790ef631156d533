"""What the rules ask: paths of a run, and the text of each command's options.

The rules hold inputs, outputs and commands alone; what depends on the settings stands here, where a
test can call it.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from classifiers import options as classifiers_options
from classifiers.arms import ARMS, JOIN, REAL, VALUE, Arm, needs_deficits, needs_synthetic, read_arm
from classifiers.augmentations import AUGMENTATIONS
from classifiers.losses import LOSSES, NUMERIC_LOSSES
from classifiers.samplers import SAMPLERS
from evenface import digest, nearby, settings
from evenface.options import CompareOptions
from evenface.page import RECORD
from evenface.places import DEMO_CONFIG, OWN_CONFIG, SNAKEFILE
from evenface.settings import ExternalSettings, Settings
from facedata import options as facedata_options
from facekit.errors import DataError
from facekit.options import Options, changes_result, command_text, flag_of
from facekit.splits import round_seed
from stylegan2 import options as stylegan2_options

# The options of each stage's command, and the sections of the settings that they are taken from:
# where two have a key, the first counts.
STAGES: Mapping[str, tuple[type[Options], tuple[str, ...]]] = {
    "ingest": (facedata_options.IngestOptions, ("ingest", "faces")),
    "faces": (facedata_options.FacesOptions, ("faces",)),
    "dedup": (facedata_options.DedupOptions, ("dedup",)),
    "screen": (facedata_options.ScreenOptions, ("curate", "dedup", "labels", "split")),
    "crossval": (classifiers_options.CrossvalOptions, ("labels", "classify")),
    "curate": (facedata_options.CurateCommandOptions, ("curate", "dedup")),
    "review": (facedata_options.ReviewOptions, ("review",)),
    "split": (facedata_options.SplitOptions, ("split",)),
    "split_check": (facedata_options.SplitCheckCommandOptions, ("split", "dedup")),
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

OF_ARMS = ("synth_images", "synth_samples", "deficits")  # what only some of them read
EACH = "_each"  # behind a stage's name: the rule of its single jobs
NOTHING = "(?!)"  # expression that no text matches
MAX_MARGIN = 2.0  # that faces can be cut with
GPU_DEVICES = "nvidia[0-9]*"  # of /dev
MAX_THREADS = 8  # of a job; more do not help
MODEL = "model.safetensors"


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

    def outside(self, path: str) -> str:
        """Put the folder of a set from elsewhere before a path; `{external}` is its name."""
        return self.results(f"external/{{external}}/{path}")

    def of_round(self, path: str) -> str:
        """Put a round's own folder before a path; `{round}` is its number."""
        return self.results(f"round{{round}}/{path}")

    def gan(self, path: str) -> str:
        """Put the folder of a round's GAN before a path."""
        return self.of_round(f"gan/{self.settings.gan.run}/{path}")

    def synth(self, path: str) -> str:
        """Put the folder of a round's synthetic images before a path."""
        return self.of_round(f"synth/{self.settings.synth.run}/{path}")

    def run_of(self, arm: str, file: str) -> str:
        """Return a file of an arm's classifiers; task, round and what the arm says are wildcards.

        Args:
            arm: its name, or `{arm}`.
            file: the path below it, such as `seed0/metrics.json`.
        """
        return self.of_round(f"classifiers/{{task}}/{arm}/{file}")

    def in_rounds(self, *paths: str, **values: Any) -> list[str]:
        """Return paths with `{round}`, of every round, and their other wildcards replaced."""
        return [
            _filled(path, {"round": number, **values})
            for number in range(self.settings.rounds)
            for path in paths
        ]

    def root(self) -> str:
        """Folder of the data set; an adapter that draws its own has one below results/."""
        return self.settings.dataset_root or self.results("source")

    def cut_faces(self) -> list[str]:
        """The archive of the faces that are cut out of photographs, where they are."""
        return [self.results("cut.zip")] if self.settings.ingest.faces == "cut" else []

    def pictures_root(self) -> str:
        """Folder that paths of the index are relative to."""
        return self.results("").rstrip("/") if self.cut_faces() else self.root()

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

    def first_round(self, path: str) -> str:
        """Return a file of the first round."""
        return _filled(self.of_round(path), {"round": 0})

    def splits_before(self, wildcards: Any) -> list[str]:
        """Return the splits of the rounds before one, which share no test image with it."""
        path = self.of_round("splits.parquet")
        return [_filled(path, {"round": number}) for number in range(int(wildcards.round))]

    def num_trainings(self) -> int:
        """Classifiers that can be trained side by side."""
        of_arms = len(self.settings.arms) * len(self.settings.seeds) * len(self.settings.tasks)
        return self.settings.rounds * of_arms

    def teachers(self) -> list[str]:
        """The classifiers of a round that check synthetic images: each learned but one fold."""
        task, seed = self.settings.tasks[0].name, self.settings.seeds[0]
        path = _filled(self.run_of(REAL, f"seed{seed}/fold{{fold}}/{MODEL}"), {"task": task})
        return [_filled(path, {"fold": k}) for k in range(self.settings.split.folds)]

    def arm_files(self, name: str) -> list[str]:
        """One file of every arm, seed and round of a task."""
        return self._of_arms(self.run_of("{arm}", f"seed{{seed}}/{name}"))

    def _of_arms(self, path: str) -> list[str]:
        """Return a path with `{round}`, `{arm}` and `{seed}` for all of them."""
        return self.in_rounds(
            *(
                _filled(path, {"arm": arm, "seed": seed})
                for arm in self.settings.arms
                for seed in self.settings.seeds
            )
        )

    def drawn(self, name: str) -> list[str]:
        """One file of every round's synthetic images, where an arm takes some."""
        takes = any(needs_synthetic(arm) for arm in self.settings.arms)
        return self.in_rounds(self.synth(name)) if takes else []

    def deficits(self) -> list[str]:
        """What classes lack in every round, where an arm asks for it."""
        asks = any(needs_deficits(arm) for arm in self.settings.arms)
        return self.in_rounds(self.of_round("deficits.csv")) if asks else []

    def seed_models(self) -> list[str]:
        """The classifiers that are measured as one: that of a seed, or those of its folds."""
        folds = [f"fold{k}/" for k in range(self.settings.split.folds)]
        return [
            self.run_of("{arm}", f"seed{{seed}}/{fold}{MODEL}")
            for fold in (folds if self.settings.classify.use_folds else [""])
        ]

    def seed_files(self, name: str) -> list[str]:
        """One file of every seed of an arm in a round."""
        return [self.run_of("{arm}", f"seed{seed}/{name}") for seed in self.settings.seeds]

    def ensembles(self) -> list[str]:
        """The mean of all seeds of each arm in each round, where there are several."""
        if len(self.settings.seeds) < 2:
            return []
        return [
            path
            for task in self.settings.tasks
            for arm in self.settings.arms
            for path in self.in_rounds(self.run_of(arm, "ensemble/metrics.json"), task=task.name)
        ]

    def stages(self) -> dict[str, list[str]]:
        """Files of the stages that have a job for each round, or more, by the stage's name.

        Whoever names such a stage means all its jobs.
        """
        of_arms = {
            stage: [
                path for task in self.settings.tasks
                for path in (_filled(one, {"task": task.name}) for one in files)
            ]
            for stage, files in {
                "classify": self.arm_files(MODEL),
                "evaluate": self.arm_files("metrics.json"),
                "compare": [self.results("compare/{task}.json")],
            }.items()
        }  # fmt: skip
        return {
            "split": self.in_rounds(self.of_round("splits.parquet")),
            "split_check": self.in_rounds(self.of_round("split_check.json")),
            "pack": self.in_rounds(self.of_round("packs/train.npy")),
            "pack_val": self.in_rounds(self.of_round("packs/val.npy")),
            "deficits": self.in_rounds(self.of_round("deficits.csv")),
            "gan": self.in_rounds(self.gan("network-chosen.safetensors")),
            "gan_metrics": self.in_rounds(self.gan("metrics.json")),
            "synth": self.in_rounds(self.synth("images.npy")),
            "filter": self.in_rounds(self.synth("samples.parquet")),
            **of_arms,
            "ensemble": self.ensembles(),
        }

    def task_files(self, pattern: str) -> list[str]:
        """One file a task; the pattern says {task}."""
        return [self.results(pattern.format(task=task.name)) for task in self.settings.tasks]

    def synth_inputs(self, wildcards: Any) -> dict[str, str]:
        """What an arm reads besides real images: synthetic ones, and what classes lack."""
        files = {}
        if needs_synthetic(wildcards.arm):
            files["synth_images"] = self.synth("images.npy")
            files["synth_samples"] = self.synth("samples.parquet")
        if needs_deficits(wildcards.arm):
            files["deficits"] = self.of_round("deficits.csv")
        return {name: _filled(path, {"round": wildcards.round}) for name, path in files.items()}

    # --- Sets from elsewhere

    def external(self, wildcards: Any) -> ExternalSettings:
        """Settings of a set from elsewhere."""
        return next(one for one in self.settings.external if one.name == wildcards.external)

    def external_root(self, wildcards: Any) -> str:
        """Folder of a set from elsewhere; an adapter that draws its own has one below results/."""
        own = _filled(self.outside("source"), {"external": wildcards.external})
        return self.external(wildcards).root or own

    def external_pattern(self, use_cut: bool) -> str:
        """Return what the names of sets match whose faces are cut out, or of the others."""
        found = [one.name for one in self.settings.external if (one.faces == "cut") == use_cut]
        return "|".join(found) or NOTHING

    def external_cut(self, wildcards: Any) -> list[str]:
        """The archive of the faces that are cut out of a set from elsewhere, where they are."""
        path = _filled(self.outside("cut.zip"), {"external": wildcards.external})
        return [path] if self.external(wildcards).faces == "cut" else []

    def external_pictures_root(self, wildcards: Any) -> str:
        """Folder that paths of its index are relative to."""
        cut = self.external_cut(wildcards)
        return str(Path(cut[0]).parent) if cut else self.external_root(wildcards)

    def external_ingest(self, wildcards: Any) -> str:
        """Which faces are cut out of its photographs, and how."""
        one, size = self.external(wildcards), self.settings.geometries.classifier
        given = {name: getattr(one, name) for name in facedata_options.WhichFaces.model_fields}
        if size.fit == "face":  # framed again: all that is kept then must be there
            given["margin"] = max(self.settings.ingest.margin, min(2 * size.margin, MAX_MARGIN))
        return self.options("ingest", **given)

    def external_like(self, wildcards: Any) -> list[str]:
        """Faces of the data set's own thumbnails, by which its faces are framed.

        None where those were cut out, or are, and so lie as the settings say.
        """
        was_cut = self.cut_faces() or self.settings.geometries.classifier.fit == "face"
        return [] if was_cut else [self.results("faces.parquet")]

    def external_framing(self, wildcards: Any, input: Any) -> str:
        """The option with these faces."""
        size = shlex.quote(self.geometry())
        return f"--like {input.like} --like-size {size}" if input.like else ""

    def external_settings(self, wildcards: Any) -> str:
        """The settings of its adapter."""
        return json.dumps(self.external(wildcards).layout.plain())

    def external_seed(self, wildcards: Any) -> int:
        """Seed of what is drawn: another one for each set, and none the data set's own."""
        return round_seed(self.settings.seed, 1 + crc32(wildcards.external.encode()))

    def external_code(self, wildcards: Any) -> str:
        """Digest of the code that reads it."""
        chosen = {"adapter": self.external(wildcards).adapter}
        return digest.code_digest("facedata ingest", chosen)

    def external_tables(self, wildcards: Any) -> list[str]:
        """Its own tables, so that an edit of one makes everything of it again."""
        one = self.external(wildcards)
        return [str(path) for path in one.layout.tables(Path(self.external_root(wildcards)))]

    def match_options(self, wildcards: Any) -> str:
        """How its classes are matched."""
        one = self.external(wildcards)
        fields = facedata_options.MatchOptions.model_fields
        values = {name: getattr(one, name) for name in fields}
        return _text(facedata_options.MatchOptions.model_validate(values), with_effect=True)

    def external_files(self, name: str) -> list[str]:
        """One file of every arm, seed and round of a task, measured on a set from elsewhere."""
        return self._of_arms(
            self.of_round(f"external/{{external}}/{{task}}/{{arm}}/seed{{seed}}/{name}")
        )

    def external_comparisons(self) -> list[str]:
        """The comparison of every task on every set from elsewhere."""
        path = self.outside("compare/{task}.json")
        return [
            _filled(path, {"external": one.name, "task": task.name})
            for one in self.settings.external
            for task in self.settings.tasks
        ]

    # --- Text of a command

    def options(self, stage: str, **given: Any) -> str:
        """Return the options of a stage's command whose values can change its result.

        Args:
            stage: one of STAGES.
            given: values in place of the settings' own.
        """
        return _text(self._stage_options(stage, given), with_effect=True)

    def round_seed(self, wildcards: Any) -> int:
        """Seed of a round."""
        return round_seed(self.settings.seed, int(wildcards.round))

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

    def classifier_geometries(self) -> str:
        """The classifiers' size alone, by name."""
        return json.dumps({"classifier": self.settings.geometries.classifier.plain()})

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

    def among_tasks(self, wildcards: Any) -> str:
        """How many tasks there are; the comparison of the first one was declared beforehand."""
        names = [task.name for task in self.settings.tasks]
        mark = "" if wildcards.task == names[0] else "--exploratory "
        return f"{mark}--num-tasks {len(names)}"

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
            return Path(self.results(RECORD)).stat().st_mtime_ns
        except FileNotFoundError:
            return None


def read_run(config: Mapping[str, Any], workflow: Any = None) -> Run:
    """Return the run of a config, or end with one line that says what is wrong.

    Args:
        config: as Snakemake has read it.
        workflow: Snakemake's; what it was given is checked once a run, as it is written, where it
            is for this pipeline alone and not for another one of which this is a module.
    """
    try:
        if workflow is not None and workflow.is_main_process and not is_module(workflow):
            given = workflow.config_settings
            settings.check_given(given.configfiles, given.config_args or ())
        return Run(config)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


def is_module(workflow: Any) -> bool:
    """Tell whether another workflow uses this one, with a config that it gives."""
    return bool(workflow.modifier.skip_configfile)


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


def named_stage(workflow: Any, stage: str, files: Sequence[str]) -> Callable:
    """Return what a stage's name stands for: its files; who forces the name forces their jobs.

    Snakemake takes rules with wildcards by `--forcerun` alone, not as a target that `--force` is
    said of.
    """

    def inputs(wildcards: Any) -> Sequence[str]:
        forced = workflow.dag.forcerules
        for rule in [one for one in forced if one.name == stage or one.name.endswith(f"_{stage}")]:
            if not rule.has_wildcards():
                forced.add(workflow.get_rule(f"{rule.name}{EACH}"))
        return files

    return inputs


def tell_data_set(run: Run, config: Mapping[str, Any], workflow: Any) -> None:
    """Say on stderr which data set is run, where none is named and others lie here; once a run."""
    said = workflow.config_settings.configfiles or "dataset" in config
    if workflow.is_main_process and not said:
        line = nearby.line(run.settings.dataset, Path())
        if line is not None:
            print(line, file=sys.stderr)


def typed_again(workflow: Any) -> Callable:
    """Return a function of a rule that gives the command line that makes this run again.

    It is typed in the same folder. Snakemake remakes nothing when what a function of `threads`
    returns has changed.
    """
    said = workflow.config_settings
    words = ["evenface", "run"]
    if Path(workflow.main_snakefile).resolve() != SNAKEFILE.resolve():
        words = ["snakemake", "--cores", "all", "--snakefile"]
        words.append(os.path.relpath(workflow.main_snakefile))
    configs = list(said.configfiles)
    if not configs and words[0] == "evenface" and OWN_CONFIG.is_file():
        configs = [DEMO_CONFIG]  # else that one would be taken
    if configs:
        words += ["--configfile", *(os.path.relpath(path) for path in configs)]
    if said.config:
        words += ["--config"]
        words += [
            f"{key}={of if isinstance(of, str) else json.dumps(of)}"
            for key, of in said.config.items()
        ]
    line = shlex.join(words)
    return lambda wildcards, threads: line


def num_gpus(workflow: Any) -> Callable:
    """Return a function of a rule: GPUs that a job takes; 0 on one machine that has none."""

    def taken(wildcards: Any) -> int:
        return int(not workflow.local_exec or any(Path("/dev").glob(GPU_DEVICES)))

    return taken


def share_of_cores(workflow: Any) -> Callable:
    """Return a function that tells the threads of a job: where there is no GPU, cores are shared.

    Two trainings with a thread each do more in the same time than one after the other with two.
    """

    def of_jobs(num_jobs: int) -> Callable:
        def threads(wildcards: Any) -> int:
            if num_gpus(workflow)(wildcards):
                return MAX_THREADS
            cores = workflow.resource_settings.cores or MAX_THREADS
            return min(max(cores // num_jobs, 1), MAX_THREADS)

        return threads

    return of_jobs


def file_option(flag: str, name: str) -> Callable:
    """An option with an input file that a rule may do without."""
    return lambda wildcards, input: f"{flag} {shlex.quote(str(input[name]))}" if input[name] else ""


def synth_options(wildcards: Any, input: Any) -> str:
    """Options with what an arm reads besides real images."""
    found = {name: getattr(input, name, None) for name in OF_ARMS}
    return " ".join(f"--{name.replace('_', '-')} {path}" for name, path in found.items() if path)


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
    losses = [one for loss in losses for one in arm.losses(loss)]
    return {
        LOSSES.kind: {loss.kind for loss in losses},
        NUMERIC_LOSSES.kind: {loss.numeric for loss in losses},
        SAMPLERS.kind: set(arm.samplers(recipe.sampler)),
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


def _filled(path: str, values: Mapping[str, Any]) -> str:
    """Return a path with some of its wildcards replaced."""
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


def _listed(path: str | None) -> list[str]:
    return [] if path is None else [path]
