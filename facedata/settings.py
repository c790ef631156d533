"""Check a run's settings before any work starts: by schema, then what no schema can say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facedata import adapters
from facekit.errors import DataError


def check(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check settings against the schema and against each other.

    Raises:
        DataError: one line that names the key, such as `config: split.train: 1.5 is ...`.
    """
    from jsonschema import Draft202012Validator  # slow to import, needed by Snakemake alone

    problems = list(Draft202012Validator(schema).iter_errors(config))
    if problems:
        # The deepest problem names the key best.
        problem = max(problems, key=lambda error: len(error.absolute_path))
        raise DataError(_describe(problem))
    _check_geometry(config)
    classes = _check_attributes(config)
    _check_tasks(config, classes)
    _check_gan(config)


def _describe(problem: Any) -> str:
    """Return one line for a schema error: key, what is wrong, what the key means."""
    from difflib import get_close_matches

    key = _key(problem.absolute_path)
    if problem.validator == "additionalProperties":
        known = list(problem.schema.get("properties", {}))
        unknown = sorted(set(problem.instance) - set(known))
        near = get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return f"config: {_key([*problem.absolute_path, unknown[0]])}: unknown key; {hint}"
    if problem.validator == "required":
        name = next(name for name in problem.validator_value if name not in problem.instance)
        return f"config: {_key([*problem.absolute_path, name])}: missing"
    if problem.validator == "anyOf":
        choices = " or ".join(allowed(choice) for choice in problem.validator_value)
        text = f"{problem.instance!r} is not {choices}"
    else:
        text = problem.message
    meaning = problem.schema.get("description") or (problem.parent and _meaning(problem))
    return f"config: {key}: {text}" + (f" ({meaning})" if meaning else "")


def allowed(choice: Mapping[str, Any]) -> str:
    """Return what a schema allows as text: `number >= 0 < 1`, `'auto'`, `list`."""
    if "const" in choice:
        return repr(choice["const"])
    ranges = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {choice[name]}" for name, sign in ranges.items() if name in choice]
    return " ".join(["list" if choice["type"] == "array" else choice["type"], *limits])


def _meaning(problem: Any) -> str:
    """Return the description of the key that a $ref led away from."""
    return problem.parent.schema.get("description", "")


def _key(path: Iterable[Any]) -> str:
    """Return `tasks[0].heads[1].name` for a path into the settings."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(top)"


def _check_geometry(config: Mapping[str, Any]) -> None:
    gan = config["geometries"]["gan"]
    size = gan["height"]
    if gan["width"] != size or size & (size - 1):
        raise DataError(
            f"config: geometries.gan: {size}x{gan['width']} is not square with a power of two"
        )


def _check_attributes(config: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Check every attribute that is named; return their classes (None: numeric)."""
    ingest = config["ingest"]
    adapter = ingest["adapter"]
    if adapter == "table":
        _check_table(ingest["table"])
    if adapter != "avatars" and config["dataset_root"] is None:
        raise DataError(
            f"config: dataset_root: null, but the adapter {adapter} needs the folder of the data"
            " set; add --config dataset_root=PATH"
        )
    try:
        classes = adapters.classes(adapter, ingest[adapter])
    except DataError as error:
        raise DataError(f"config: ingest.{adapter}: {error}") from None
    judged = config["labels"]["attributes"]
    for name in [] if judged == "all" else judged:
        _check_attribute("labels.attributes", name, classes)
    for name in config["dedup"]["tolerance"]:
        _check_attribute("dedup.tolerance", name, classes)
        if classes[name] is not None:
            raise DataError(f"config: dedup.tolerance: {name} is not numeric")
    stratify = config["split"]["stratify"]
    for key, names in (
        ("split.stratify", [] if stratify == "all" else stratify),
        ("gan.condition", config["gan"]["condition"]),
    ):
        for name in names:
            _check_attribute(key, name, classes)
            if classes[name] is None:
                raise DataError(f"config: {key}: {name} is numeric; make classes of it by bins")
    return classes


def _check_table(table: Mapping[str, Any]) -> None:
    if not table["attributes"]:
        raise DataError("config: ingest.table.attributes: empty; name the columns to read")
    for index, item in enumerate(table["attributes"]):
        if item["kind"] == "numeric" and item["min"] >= item["max"]:
            raise DataError(
                f"config: ingest.table.attributes[{index}]: min {item['min']} is not below"
                f" max {item['max']}"
            )


def _check_tasks(config: Mapping[str, Any], classes: Mapping[str, Any]) -> None:
    _check_unique("tasks", [task["name"] for task in config["tasks"]])
    for index, task in enumerate(config["tasks"]):
        key = f"tasks[{index}]"
        heads = {head["name"]: head for head in task["heads"]}
        _check_unique(f"{key}.heads", [head["name"] for head in task["heads"]])
        for number, head in enumerate(task["heads"]):
            place = f"{key}.heads[{number}].attributes"
            for name in head["attributes"]:
                _check_attribute(place, name, classes)
            is_numeric = [classes[name] is None for name in head["attributes"]]
            if head["kind"] == "numeric" and is_numeric != [True]:
                raise DataError(f"config: {place}: a numeric head takes one numeric attribute")
            if head["kind"] != "numeric" and any(is_numeric):
                raise DataError(f"config: {place}: numeric; make classes of it by bins")
            if head["kind"] == "binary":
                _check_binary(place, head["attributes"], classes)
        judged = task["verdict"]["head"]
        if judged not in heads:
            raise DataError(
                f"config: {key}.verdict.head: {judged} is no head of the task, found {list(heads)}"
            )
        if heads[judged]["kind"] == "numeric":
            raise DataError(f"config: {key}.verdict.head: {judged} is numeric; judge by classes")
    baseline = config["compare"]["baseline"]
    if baseline not in config["arms"]:
        raise DataError(
            f"config: compare.baseline: {baseline} is no arm of the run, found {config['arms']}"
        )
    synthetic = [arm for arm in config["arms"] if "synth@" in arm]
    if synthetic and "real" not in config["arms"]:
        raise DataError(
            f"config: arms: {synthetic[0]} needs real, whose classifier checks the generated images"
        )
    if synthetic:
        _check_teacher(config["tasks"][0], config["gan"]["condition"], synthetic[0])


def _check_binary(place: str, names: Sequence[str], classes: Mapping[str, Any]) -> None:
    if len(names) > 1 or len(classes[names[0]]) not in (0, 2):  # 0: known later
        raise DataError(f"config: {place}: a binary head takes one attribute of two classes")


def _check_teacher(task: Mapping[str, Any], condition: Sequence[str], arm: str) -> None:
    """Check that the first task's classifier can judge what the GAN was told to draw."""
    if not condition:
        raise DataError(f"config: gan.condition: empty, but {arm} needs images by class")
    heads = [head for head in task["heads"] if head["kind"] != "numeric"]
    if not any(set(head["attributes"]) <= set(condition) for head in heads):
        raise DataError(
            f"config: tasks[0].heads: none predicts {condition} (gan.condition), so that {arm}'s"
            " images could not be checked"
        )


def _check_gan(config: Mapping[str, Any]) -> None:
    gan, size = config["gan"], config["geometries"]["gan"]["height"]
    if gan["augpipe"] in ("filter", "bgcf", "bgcfn", "bgcfnc") and size < 22:
        raise DataError(
            f"config: gan.augpipe: {gan['augpipe']} needs 22 pixels, images have {size}"
        )
    if gan["channel_base"] // size < 1:
        raise DataError(
            f"config: gan.channel_base: {gan['channel_base']} leaves no channel at {size} pixels"
        )


def _check_attribute(key: str, name: str, classes: Mapping[str, Any]) -> None:
    if name not in classes:
        raise DataError(f"config: {key}: no attribute {name}, found {list(classes)}")


def _check_unique(key: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"config: {key}: {twice[0]} is named twice")
