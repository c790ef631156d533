"""What a run will cost, and what it could see, before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.models.heads import MISSING, Head, class_counts, head_targets, read_heads
from evenface.experiment.differences import MIN_CLASS_IMAGES
from evenface.experiment.intervals import LARGEST
from evenface.experiment.power import (
    Design,
    Variances,
    assumed_variances,
    detectable_by,
    improvements,
)
from evenface.experiment.roles import kind_of
from evenface.experiment.words import capital
from evenface.settings import Settings, Task
from facedata.columns import CURATED, INDEX
from facedata.ingest.adapters import avatars
from facedata.splits.units import units
from facekit.errors import DataError
from facekit.options import AUTO
from facekit.spelling import count
from facekit.storage import files, tables
from stylegan2.models import presets

if TYPE_CHECKING:
    import pandas as pd

    from evenface.workflow import Run

# Seconds of one core with AVX-512 where no record of an earlier run tells more.
GAN_SECONDS = 8.5  # a thousand images of 32 x 32 px by the preset cpu-32
GAN_GROWTH, GAN_WIDTH = 1.5, 0.5  # powers of the side, and of the channels, by which that grows
# Training tf_efficientnet_lite0 on a thousand images: however small they are, and what 128 x 96 px
# take besides.
CLASSIFIER_SECONDS, PIXEL_SECONDS = 5.0, 5.0
CLASSIFIER_PIXELS = 128 * 96
START_SECONDS = 5.0  # a job's program: libraries, networks, files
DRAWN_SECONDS = 40.0  # split, metrics of the GAN, drawing and filtering in a round
LOOKING = 0.25  # of the seconds of a training: predicting as many images
OTHER_SECONDS = 90.0  # ingest, explore, page
IMAGE_SECONDS = 0.02  # an image in ingest, inspection, faces, duplicates
CUT_SECONDS = 0.2  # to look for faces in a photograph, and to cut them out
FRAME_SECONDS = 0.05  # likewise in a thumbnail, for `fit: face`
KNOWN_BACKBONES = ("tf_efficientnet_lite0",)
OF_TABLES = "the data set's tables, before anything is left out"
CORE_YIELD = 0.9  # of a core's time that several jobs side by side leave


@dataclass(frozen=True)
class Stage:
    """A kind of jobs.

    Attributes:
        name: of the stage.
        num_jobs: in all rounds.
        num_done: whose files are there.
        of_job: seconds of one core that a job takes; None where nothing is known.
        is_measured: told by records of this run.
    """

    name: str
    num_jobs: int
    num_done: int
    of_job: float | None
    is_measured: bool

    @property
    def seconds(self) -> float | None:
        """Seconds of one core that all jobs take which are left."""
        return None if self.of_job is None else self.of_job * (self.num_jobs - self.num_done)


@dataclass(frozen=True)
class Sight:
    """What the comparison of a task can see.

    Attributes:
        task: its name.
        measure: what arms are judged by.
        head: likewise.
        design: rounds, seeds and test images.
        support: expected test images in a round by class, of those that occur.
        few: classes by which the verdict would be withheld.
        is_exploratory: another task has the comparison that is declared.
        detectable: the smallest true difference that is found in 4 of 5 cases; inf: none.
        is_measured: variances are those of an earlier comparison, not assumed.
        steps: what would let it see more: what, what it detects, minutes more (None: unknown).
    """

    task: str
    measure: str
    head: str
    design: Design
    support: dict[str, int]
    few: list[str]
    is_exploratory: bool
    detectable: float
    is_measured: bool
    steps: list[tuple[str, float, float | None]]


@dataclass(frozen=True)
class Plan:
    """A run before it is made.

    Attributes:
        settings: of the run.
        num_images: of the data set.
        source: where labels were counted.
        stages: jobs, in their order.
        cores: that time is told for.
        minutes: expected; None where a stage is unknown.
        sights: one a task.
    """

    settings: Settings
    num_images: int
    source: str
    stages: list[Stage]
    cores: int
    minutes: float | None
    sights: list[Sight]


def make_plan(run: "Run", cores: int) -> Plan:
    """Return the plan of a run in the current folder.

    Labels are counted in what earlier stages made, else in the data set's own tables.

    Args:
        run: a run whose settings are checked.
        cores: of the machine.

    Raises:
        DataError: the data set cannot be read, or has too few images for the rounds.
    """
    settings = run.settings
    table, source = _labels(run)
    num_images = len(table)
    most = settings.split.max_rounds
    if settings.rounds > most and not _keeps_test(settings, table):
        raise DataError(
            f"config: rounds: {settings.rounds}, but without an official test part there are images"
            f" for {most} test parts that have nothing in common; see split.train"
        )
    stages = _stages(run, num_images)
    minutes = _minutes(stages, cores)
    sights = [_sight(run, task, table, stages, cores) for task in settings.tasks]
    return Plan(settings, num_images, source, stages, cores, minutes, sights)


def _labels(run: "Run") -> tuple["pd.DataFrame", str]:
    """Return the images with their labels, and where these were found."""
    for name, declared in (("curated.parquet", CURATED), ("index.parquet", INDEX)):
        path = Path(run.results(name))
        if path.is_file():
            return tables.read(path, declared, ["image_id"]), str(path)
    adapter = run.settings.adapter
    if isinstance(adapter, avatars.Avatars):
        return _expected(adapter, run.settings.seed), "shares that are painted"
    found = adapter.ingest(Path(run.root()), run.settings.seed).index
    return found, OF_TABLES


def _expected(adapter: avatars.Avatars, seed: int) -> "pd.DataFrame":
    """Return labels as they will be drawn: in their shares, what is covered missing."""
    import pandas as pd

    from facedata.ingest import painted

    pictures, _ = painted.plan(adapter.num_images, adapter.shares(), np.random.default_rng(seed))
    labels: dict[str, Any] = {"image_id": [one.path for one in pictures]}
    labels["official_split"] = pd.array([pd.NA] * len(pictures), dtype="str")
    for name, classes in adapter.class_lists().items():
        labels[name] = pd.Categorical([one.given[name] for one in pictures], categories=classes)
    return pd.DataFrame(labels)


# --- Jobs and minutes


def _stages(run: "Run", num_images: int) -> list[Stage]:
    """Return the stages that take time, and what is left of each."""
    settings = run.settings
    named = run.stages()
    records = {
        "gan": run.in_rounds(run.gan("run.json")),
        "classify": [str(Path(path).with_name("run.json")) for path in named["classify"]],
    }
    gan, labels, classify = settings.gan, settings.labels, settings.classify
    size = settings.geometries.gan.height
    of_gan = None
    if gan.cfg.startswith("cpu-"):
        preset = presets.FIXED[gan.cfg]
        kimg = preset.kimg if gan.kimg == AUTO else gan.kimg
        width = 1.0 if gan.channel_base == AUTO else gan.channel_base / preset.channel_base
        growth = (size / 32) ** GAN_GROWTH * width**GAN_WIDTH
        of_gan = _job(GAN_SECONDS * growth / 1000, 1000 * kimg)
    num_train = num_images * settings.split.train * (1 - settings.split.reserve)
    looked_at = LOOKING * num_images * (1 - settings.split.train) / 2  # val, or test
    shown, of_teacher = (
        classify.epochs * (share * num_train + looked_at)
        for share in (1, 1 - 1 / settings.split.folds)
    )
    whole = settings.geometries.classifier.height, settings.geometries.classifier.width
    view = classify.view.resize or classify.view.crop or whole
    rate, of_judge = (_classifier_rate(settings, *one) for one in (view, whole))
    teachers = run.in_rounds(*run.teachers()) if run.drawn("samples.parquet") else []
    judged = labels.kimg * 1000 * labels.folds * labels.passes
    other = OTHER_SECONDS + IMAGE_SECONDS * num_images
    if settings.ingest.faces == "cut":
        other += CUT_SECONDS * num_images
    if any(size.fit == "face" for _, size in settings.geometries):
        other += FRAME_SECONDS * num_images
    folds = settings.split.folds if classify.use_folds else 1
    num_arms = len(settings.arms) * len(settings.seeds) * len(settings.tasks)
    single = {
        "data": (1, [run.results("curated.parquet")], other),
        "labels": (labels.folds, [run.results("oof.parquet")], _job(of_judge, judged)),
        "gan": (settings.rounds, named["gan"], of_gan),
        "synth": (settings.rounds if teachers else 0, named["filter"], DRAWN_SECONDS),
        "teachers": (len(teachers), teachers, _job(rate, of_teacher)),
        "classify": (num_arms * settings.rounds * folds, named["classify"], _job(rate, shown)),
        "evaluate": (num_arms * settings.rounds, named["evaluate"], _job(rate, looked_at)),
    }
    found = []
    for name, (num_jobs, paths, seconds) in single.items():
        num_done = min(sum(Path(path).is_file() for path in paths), num_jobs)
        if name == "labels":
            num_done *= num_jobs
            seconds = None if seconds is None else seconds / num_jobs
        measured = _measured(records.get(name, []))
        each = measured if measured is not None else seconds
        if num_jobs:
            found.append(Stage(name, num_jobs, num_done, each, measured is not None))
    return found


def _classifier_rate(settings: Settings, height: int, width: int) -> float | None:
    """Return the seconds of a core that training on one image takes; None: unknown."""
    if settings.classify.backbone not in KNOWN_BACKBONES:
        return None
    return (CLASSIFIER_SECONDS + PIXEL_SECONDS * height * width / CLASSIFIER_PIXELS) / 1000


def _job(rate: float | None, num_images: float) -> float | None:
    """Return the seconds of a job of so many images; None where their rate is not known."""
    return None if rate is None else START_SECONDS + rate * num_images


def _measured(paths: Sequence[str]) -> float | None:
    """Return the mean seconds of a core that records of a stage tell; None where there is none."""
    seconds = []
    for path in paths:
        if Path(path).is_file():
            record = files.read_json(Path(path))
            words = [str(word) for word in record.get("command", [])]
            threads = words[words.index("--threads") + 1] if "--threads" in words[:-1] else "1"
            seconds.append(float(record["seconds"]) * int(threads))
    return float(np.mean(seconds)) if seconds else None


def _minutes(stages: Sequence[Stage], cores: int) -> float | None:
    if any(stage.seconds is None for stage in stages):
        return None
    return sum(stage.seconds or 0.0 for stage in stages) / (60 * cores * CORE_YIELD)


# --- What could be seen


def _sight(
    run: "Run", task: Task, table: "pd.DataFrame", stages: Sequence[Stage], cores: int
) -> Sight:
    settings = run.settings
    options = next(head for head in task.heads if head.name == task.verdict.head)
    head = read_heads([options], table, "labels")[0]
    counts = _test_counts(settings, head, table)
    total = int(counts.sum())
    if not total:
        raise DataError(
            f"task {task.name}: no test image of any class of {head.name} is to be expected, of"
            f" {len(table)} images; more images or a smaller split.train are needed"
        )
    keeps_test = _keeps_test(settings, table)
    design = Design(settings.rounds, len(settings.seeds), total, keeps_test)
    present = counts[counts > 0]
    target = head_targets(head, table)
    occurring = class_counts(head, target[target != MISSING]) > 0  # of others nothing is expected
    is_few = counts < MIN_CLASS_IMAGES
    if design.rounds == 1 or keeps_test:  # one test part, whose persons are all that tell it
        is_few = _test_counts(settings, head, table, of_units=True) < MIN_CLASS_IMAGES
    assumed = assumed_variances((present / total).tolist())
    measured = _measured_variances(Path(run.results(f"compare/{task.name}.json")), assumed)
    variances = measured or assumed
    confidence = _deciding(settings, task)
    most = total if keeps_test else int(total / settings.split.test)
    steps = [
        (name, seen, _more_minutes(name, settings, stages, cores))
        for name, _, seen in improvements(design, variances, most, confidence)
    ]
    return Sight(
        task=task.name,
        measure=task.verdict.measure,
        head=head.name,
        design=design,
        support={head.classes[k]: int(counts[k]) for k in np.flatnonzero(occurring)},
        few=[head.classes[k] for k in np.flatnonzero(occurring & is_few)],
        is_exploratory=task is not settings.tasks[0],
        detectable=detectable_by(design, variances, confidence),
        is_measured=measured is not None,
        steps=steps,
    )


def _deciding(settings: Settings, task: Task) -> float:
    """Return the confidence by which a task's first comparison is a finding.

    The first task's is declared; those of others are corrected for all that are not.
    """
    confidence = settings.compare.confidence
    if task is settings.tasks[0]:
        return confidence
    kinds = [kind_of(arm, settings.compare.baseline) for arm in settings.arms]
    # An arm with synthetic images is compared with the best of the others and with copies, too.
    opponents = ("other" in kinds) + ("copies" in kinds)
    num = len(kinds) - 1 + kinds.count("synthetic") * opponents
    return 1 - (1 - confidence) / (max(num, 1) * len(settings.tasks))


def _keeps_test(settings: Settings, table: "pd.DataFrame") -> bool:
    """Tell whether all rounds have the test part of an official split."""
    is_kept = settings.split.official == "keep"
    return is_kept and bool((table["official_split"] == "test").any())


def _test_counts(
    settings: Settings, head: Head, table: "pd.DataFrame", of_units: bool = False
) -> np.ndarray:
    """Return the expected test images of each class in a round, float64 [K].

    Args:
        settings: of the run.
        head: with the classes.
        table: of all images.
        of_units: count the persons and clusters that images are of.
    """
    keeps_test = _keeps_test(settings, table)
    rows = table[table["official_split"] == "test"] if keeps_test else table
    target = head_targets(head, rows)
    if of_units:
        target = np.unique(np.stack([target, units(rows)]), axis=1)[0]
    counts = class_counts(head, target[target != MISSING])
    return counts if keeps_test else np.floor(counts * settings.split.test)


def _measured_variances(path: Path, assumed: Variances) -> Variances | None:
    """Return the variances of an earlier comparison, for one image, seed and round; None: none.

    What it did not repeat is taken as assumed. With one seed a round, rounds hold what seeds add.
    """
    if not path.is_file():
        return None
    found = files.read_json(path)
    main = next((arm for arm in found["arms"] if arm["arm"] == found["main"]), None)
    if main is None or main["difference"] is None or not found["rounds"]:
        return None
    parts = main["difference"]["variances"]
    num_rounds, num_seeds = len(found["rounds"]), len(found["rounds"][0]["seeds"])
    images = (parts["images"] or 0.0) * found["num_images"]
    seeds, rounds = parts["seeds"], parts["rounds"]
    if seeds is None:
        seeds = assumed.seeds if rounds is None else 0.0
    else:
        seeds *= num_rounds * num_seeds
    rounds = assumed.rounds if rounds is None else rounds * num_rounds
    return Variances(images=images, noise=0.0, seeds=seeds, rounds=rounds)


def _more_minutes(
    name: str, settings: Settings, stages: Sequence[Stage], cores: int
) -> float | None:
    """Return the minutes that one more round, or one more seed in each, takes; None: unknown."""
    if name == "images":
        return None
    seconds = 0.0
    for stage in stages:
        if stage.name in ("data", "labels") or (
            name == "seeds" and stage.name in ("gan", "synth", "teachers")
        ):
            continue
        if stage.of_job is None:
            return None
        of = settings.rounds if name == "rounds" else len(settings.seeds)
        seconds += stage.of_job * stage.num_jobs / of
    return seconds / (60 * cores * CORE_YIELD)


# --- In words


def lines(plan: Plan) -> Iterator[str]:
    """Yield a plan as text for people."""
    settings = plan.settings
    yield (
        f"{settings.dataset}: {count(settings.rounds, 'round')} of"
        f" {count(len(settings.seeds), 'seed')}, arms {', '.join(settings.arms)}"
    )
    yield f"{plan.num_images:,} images ({plan.source})"
    yield ""
    yield f"{'stage':10} {'jobs':>6} {'done':>6}  minutes of one core left"
    for stage in plan.stages:
        minutes = "not known" if stage.seconds is None else f"{stage.seconds / 60:.0f}"
        note = ", as measured here" if stage.is_measured else ""
        yield f"{stage.name:10} {stage.num_jobs:6} {stage.num_done:6}  {minutes}{note}"
    yield _time(plan)
    for sight in plan.sights:
        yield ""
        yield from _of_task(sight, plan)


def in_short(plan: Plan) -> Iterator[str]:
    """Yield the minutes of a plan and what it could see, without its stages."""
    yield _time(plan)
    for sight in plan.sights:
        yield from _of_task(sight, plan)


def _time(plan: Plan) -> str:
    if plan.minutes is None:
        return "Time cannot be told: what is not known was never measured for these settings."
    return (
        f"{capital(_minutes_told(plan.minutes))} on {count(plan.cores, 'core')} without a GPU;"
        " what was not measured here is from one machine and may be off by half."
    )


def _of_task(sight: Sight, plan: Plan) -> Iterator[str]:
    words = sight.measure.replace("_", " ").replace("f1", "F1")
    role = ", exploratory" if sight.is_exploratory else ""
    yield f"Task {sight.task}{role}, {words} of {sight.head}"
    counts: Mapping[str, int] = sight.support
    yield f"  test images a round: {', '.join(f'{name} {n}' for name, n in counts.items())}"
    ingest = plan.settings.ingest
    if ingest.faces == "cut" and plan.source == OF_TABLES:
        several = ", or with several for one label," if ingest.several == "list" else ""
        yield (
            f"  before faces are cut out: photographs without a face{several} will be missing;"
            " `evenface run ingest` finds out which"
        )
    if sight.few:
        people = ""
        if min(counts[name] for name in sight.few) >= MIN_CLASS_IMAGES:
            people = " (of different persons)"
        yield (
            f"  the verdict would be withheld: fewer than {MIN_CLASS_IMAGES} test images{people} of"
            f" {', '.join(sight.few)}; more images, or a smaller split.train"
        )
    basis = "as measured by the last run" if sight.is_measured else "by assumed variances"
    if sight.detectable == float("inf"):
        yield "  one training of each arm: no difference could be claimed"
    elif sight.detectable >= LARGEST:
        yield f"  no difference would be found in 4 of 5 cases, however large ({basis})"
    else:
        yield (
            f"  a true difference of {sight.detectable:.3f} or more would be found in 4 of 5 cases"
            f" ({basis})"
        )
    names = {
        "rounds": "one more round",
        "seeds": "one more seed",
        "images": "half as many images more",
    }
    for name, seen, minutes in sight.steps:
        price = "" if minutes is None else f", {_minutes_told(minutes)} more"
        can = "nothing could be claimed" if seen == float("inf") else f"{seen:.3f}"
        can = "none, however large" if LARGEST <= seen < float("inf") else can
        yield f"  with {names[name]}: {can}{price}"


def _minutes_told(minutes: float) -> str:
    """Return minutes in words, such as `about 2 minutes`."""
    whole = round(minutes)
    return f"about {count(whole, 'minute')}" if whole else "less than a minute"


def plan_text(run: "Run", cores: int) -> str:
    """Return the plan of a run as text; see `make_plan`.

    Raises:
        DataError: the data set cannot be read.
    """
    if cores < 1:
        raise DataError(f"--cores: {cores} is less than 1")
    return "\n".join(lines(make_plan(run, cores)))
