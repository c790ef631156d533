"""Settings are checked before any work: one line that names the key."""

from pathlib import Path

import pytest
import yaml

from evenface import reference
from evenface.settings import base_config, laid_over, read
from facekit.errors import DataError

ROOT = Path(__file__).parents[2]


def config_of(name, tmp_path):
    """Return a preset whose data set exists."""
    found = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    return found | ({"dataset_root": str(tmp_path)} if found.get("dataset_root") else {})


def test_default_settings_pass():
    assert read({}).dataset == "avatars"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_every_config_passes(name, tmp_path):
    read(config_of(name, tmp_path))


@pytest.mark.parametrize("path", reference.pages(), ids=lambda path: path.name)
def test_what_is_written_from_the_classes_is_current(path):
    """If not: `python -m evenface.reference`."""
    assert path.read_text(encoding="utf-8") == reference.pages()[path]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_editors_find_no_fault_in_the_configs(name):
    import json

    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(reference.schema()))
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    assert [error.message for error in validator.iter_errors(config)] == []


def test_editors_find_what_is_misspelt():
    import json

    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(reference.schema()))
    found = [error.message for error in validator.iter_errors({"gan": {"gama": 1}, "seed": -1})]
    assert len(found) == 2 and "gama" in found[0] + found[1]


TABLE = {
    "file": "labels.csv",
    "attributes": [
        {"name": "sex", "column": "s", "kind": "categorical", "classes": ["f", "m"]},
        {"name": "age", "column": "a", "kind": "numeric", "min": 0, "max": 120},
    ],
    "derived": [],
}


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ({"splitt": {}}, "config: splitt: unknown key; did you mean split?"),
        ({"ingest": {"faces": "cut"}}, "config: ingest.faces: cut, but this adapter draws"),
        (
            {
                "dataset_root": "x",
                "ingest": {"adapter": "table", "table": TABLE | {"face_column": "n"}},
            },
            "config: ingest.faces: keep, but columns of the table name faces; expected cut",
        ),
        (
            {
                "dataset_root": "x",
                "ingest": {"adapter": "table", "faces": "cut", "side": 63, "table": TABLE},
            },
            "config: ingest.side: faces are cut at 63 pixels, but geometries.classifier has 64x",
        ),
        ({"gan": {"gama": 1}}, "config: gan.gama: unknown key; did you mean gamma?"),
        ({"split": {"train": 1.5}}, "config: split.train: 1.5 is"),
        ({"split": {"train": "most"}}, "config: split.train: 'most' is not number > 0 < 1"),
        ({"gan": {"gamma": "little"}}, "config: gan.gamma: 'little' is not 'auto' or number >= 0"),
        ({"gan": {"kimg": 0}}, "config: gan.kimg: 0 is"),
        ({"gan": {"mirror": "maybe"}}, "config: gan.mirror: 'maybe' is not true or false"),
        ({"dedup": {"tolerance": {"age": 5}}}, "config: dedup.tolerance: "),
        ({"dedup": {"tolerance": {"glasses": 5}}}, "config: dedup.tolerance: glasses is not"),
        ({"seed": True}, "config: seed: true is no number"),
        ({"seed": 10**30}, "config: seed: 1000000000000000000000000000000 is not integer >= 0"),
        ({"gan": {"lr": float("nan")}}, "config: gan.lr: nan is not 'auto' or number > 0"),
        ({"gan": {"kimg": float("inf")}}, "config: gan.kimg: inf is not 'auto' or number > 0"),
        (
            {"gan": {"batch": 16, "batch_gpu": 5}},
            "config: gan.batch_gpu: 5 does not divide batch 16",
        ),
        ({"gan": {"patience": 2, "metric": "none"}}, "config: gan.patience: 2 measurements, but"),
        ({"dataset": "a\n"}, "config: dataset: 'a\\n' is not text like"),
        ({"arms": ["real", "focal+ldam"]}, "config: arms[1]: arm 'focal+ldam': two parts change"),
        ({"classify": {"backbone": "resnet5000"}}, "config: classify.backbone: "),
        ({"classify": {"view": {"crop": [500, 500]}}}, "config: classify.view.crop: [500, 500] is"),
        (
            {"classify": {"head": {"samples": 4}}},
            "config: classify.head.samples: 4, but no",
        ),
        (
            {"classify": {"augment": {"erase": {"min_area": 0.5}}}},
            "config: classify.augment.erase.min_area: 0.5 is more than max_area 0.33",
        ),
        ({"dataset": "../elsewhere"}, "config: dataset: '../elsewhere' is not text like"),
        ({"gan": {"batch": "auto", "batch_gpu": 7}}, "config: gan.batch_gpu: "),
        ({"gan": {"freezed": 99}}, "config: gan.freezed: 99 of 7 layers at 32 pixels"),
        ({"gan": {"batch": 10**30}}, "config: gan.batch: 1000000000000000000000000000000 is too"),
        ({"classify": {"weight_decay": 1e300}}, "config: classify.weight_decay: 1e+300 is too"),
        ({"gan": {"resume": "x.pkl"}}, "config: gan.resume: no file x.pkl"),
        ({"classify": {"weights": "imagnet"}}, "config: classify.weights: no file imagnet"),
        (
            {"gan_metrics": {"extractor": "inception", "weights": "x.pt"}},
            "config: gan_metrics.weights: no file x.pt",
        ),
        ({"dataset_root": "x" * 1000}, "config: dataset_root: 'xxx"),
        ({"dataset_root": "a\nb\0c"}, "config: dataset_root: no folder a b\\x00c"),
        ({"gan.kimg": 3}, "config: gan.kimg: unknown key; write gan: {kimg: VALUE}"),
        ({True: 3}, "config: True: a key is a text; put it in quotes"),
        ({"dedup": {"tolerance": {5: 3}}}, "config: dedup.tolerance.5: a key is a text"),
        ({"arms": ["real", "synth@1E0"]}, "config: arms[1]: arm 'synth@1E0': expected"),
        ({"arms": ["real", "synth@1.0", "synth@1"]}, "config: arms: synth@1 is the same as synth"),
        (
            {"arms": ["real", "focal+weighted_sampler", "weighted_sampler+focal"]},
            "config: arms: weighted_sampler+focal is the same as focal+weighted_sampler",
        ),
        ({"arms": ["real", "synth@2"]}, "config: arms[1]: arm 'synth@2': expected"),
        ({"arms": []}, "config: arms: []"),
        ({"arms": ["weighted_sampler"]}, "config: compare.baseline: real is no arm of the run"),
        ({"compare": {"primary": "real"}}, "config: compare.primary: real is no other arm of the"),
        (
            {"arms": ["weighted_loss", "synth@1.0"], "compare": {"baseline": "weighted_loss"}},
            "config: arms: synth@1.0 needs real",
        ),
        ({"gan": {"condition": []}}, "config: gan.condition: empty, but copy@0.5 needs"),
        ({"split": {"reserve": 0}}, "config: arms: withheld needs images that were held back"),
        (
            {"external": [{"name": "web", "adapter": "table"}]},
            "config: external[0].root: null, but the adapter table needs its folder",
        ),
        (
            {"external": [{"name": "web", "adapter": "avatars", "map": {"glasses": {"a": "b"}}}]},
            "config: external[0].map.glasses: b is no class here, found none, glasses, sunglasses",
        ),
        (
            {"gan": {"condition": ["headwear"]}},
            "config: tasks[0].heads: none predicts headwear (gan.condition)",
        ),
        ({"gan": {"condition": ["hairs"]}}, "config: gan.condition: no attribute hairs, found"),
        ({"split": {"stratify": ["nose"]}}, "config: split.stratify: no attribute nose"),
        ({"labels": {"attributes": ["nose"]}}, "config: labels.attributes: no attribute nose"),
        (
            {"labels": {"attributes": "some"}},
            "config: labels.attributes: 'some' is not 'all' or",
        ),
        ({"split": {"stratify": "nose"}}, "config: split.stratify: 'nose' is not 'all' or list"),
        (
            {"split": {"scarce": {"attribute": "nose", "value": "big"}}},
            "config: split.scarce.attribute: no attribute nose",
        ),
        (
            {"split": {"scarce": {"attribute": "glasses", "value": "monocle"}}},
            "config: split.scarce.value: no class monocle, found none, glasses, sunglasses",
        ),
        (
            {"geometries": {"gan": {"height": 48, "width": 48}}},
            "config: geometries.gan: 48x48 is not square with a power of two",
        ),
        (
            {"geometries": {"gan": {"height": 16, "width": 16}}, "gan": {"augpipe": "bgcf"}},
            "config: gan.augpipe: bgcf needs 22 pixels",
        ),
        (
            {"gan": {"channel_base": 8}},
            "config: gan.channel_base: 8 leaves no channel at 32 pixels",
        ),
        (
            {"ingest": {"adapter": "table", "table": TABLE}},
            "config: dataset_root: null, but the adapter table needs",
        ),
        (
            {"dataset_root": "x", "ingest": {"adapter": "table"}},
            "config: ingest.table: attributes: empty",
        ),
        (
            {
                "dataset_root": "x",
                "ingest": {
                    "adapter": "table",
                    "table": TABLE
                    | {
                        "derived": [
                            {"name": "g", "source": "age", "bins": [60, 30], "classes": list("abc")}
                        ]
                    },
                },
            },
            "config: ingest.table.derived[0].bins: [60.0, 30.0] do not rise",
        ),
        (
            {
                "dataset_root": "x",
                "ingest": {
                    "adapter": "table",
                    "table": TABLE | {"derived": [{"name": "g", "sources": ["sex", "age"]}]},
                },
            },
            "config: ingest.table.derived[0].sources: 'age' is no categorical attribute of",
        ),
        (
            {
                "dataset_root": "x",
                "ingest": {
                    "adapter": "table",
                    "table": TABLE
                    | {
                        "derived": [
                            {"name": "g", "source": "age", "bins": [30], "classes": list("abc")}
                        ]
                    },
                },
            },
            "config: ingest.table.derived[0].classes: 3 for 1 edges, expected 2",
        ),
    ],
)
def test_wrong_settings_are_named_in_one_line(update, expected, tmp_path):
    if update.get("dataset_root") == "x":
        update = update | {"dataset_root": str(tmp_path)}
    with pytest.raises(DataError) as caught:
        read(update)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("adapter", "own", "is_refused"),
    [
        ("table", TABLE, True),
        ("table", TABLE | {"split_column": "part"}, False),
        ("imagefolder", {}, True),
        ("imagefolder", {"official_split": True}, False),
        ("utkface", {}, True),
        ("celeba", {}, False),
        ("avatars", {}, True),
    ],
)
def test_more_rounds_than_test_parts_are_refused_where_no_official_one_may_be_kept(
    adapter, own, is_refused, tmp_path
):
    name = {"imagefolder": "label", "table": "sex", "celeba": "Male", "utkface": "gender"}
    name = name.get(adapter, "glasses")
    heads = [{"name": "judged", "attributes": [name], "kind": "categorical", "weight": 1}]
    config = {
        "dataset_root": None if adapter == "avatars" else str(tmp_path),
        "ingest": {"adapter": adapter, adapter: own},
        "split": {"train": 0.6},
        "gan": {"condition": [name]},
        "arms": ["real"],
        "tasks": [
            {"name": "one", "verdict": {"head": "judged", "measure": "macro_f1"}, "heads": heads}
        ],
    }
    assert read(config | {"rounds": 5}).rounds == 5
    message = "config: rounds: 6, but test parts of 0.2 of all images .* are enough for 5 that"
    for official in ("keep", "ignore"):
        more = laid_over(config, {"rounds": 6, "split": {"official": official}})
        if is_refused or official == "ignore":
            with pytest.raises(DataError, match=message):
                read(more)
        else:
            assert read(more).rounds == 6


def test_verdict_must_name_a_head():
    tasks = base_config({})["tasks"]
    tasks[0]["verdict"]["head"] = "nose"
    with pytest.raises(DataError, match=r"config: tasks\[0\]\.verdict\.head: nose is no head"):
        read({"tasks": tasks})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("classify: {lr: 1e-3}", "classify.lr", 0.001),
        ("seed: 1.0", "seed", 1),
        ("seeds: ['0']", "seeds", (0,)),  # as --config 'seeds=[0]' has it
        ("split: {train: '0.8'}", "split.train", 0.8),
        ("gan: {mirror: 'no'}", "gan.mirror", False),
        ("gan: {channel_base: auto, batch: auto, kimg: auto}", "gan.kimg", "auto"),
        ("dataset_root: 'null'", "dataset_root", None),
        ("arms: [real, synth@1]", "arms", ("real", "synth@1")),
    ],
)
def test_plain_meanings_are_taken(text, key, value):
    found = read(yaml.safe_load(text))
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)


def test_recall_is_a_measure():
    tasks = base_config({})["tasks"]
    tasks[0]["verdict"]["measure"] = "recall"
    assert read({"tasks": tasks}).tasks[0].verdict.measure == "recall"


def test_classes_that_yaml_turned_into_numbers_are_texts(tmp_path):
    table = {"attributes": [{"name": "a", "column": "a", "kind": "categorical", "classes": [0, 1]}]}
    update = {
        "dataset_root": str(tmp_path),
        "ingest": {"adapter": "table", "table": table},
        "split": {"stratify": ["a"]},
        "gan": {"condition": ["a"]},
        "tasks": [
            {
                "name": "t",
                "verdict": {"head": "a"},
                "heads": [{"name": "a", "attributes": ["a"]}],
            }
        ],
    }
    assert read(update).adapter.class_lists() == {"a": ["0", "1"]}
    table["attributes"][0]["classes"] = [False, True]
    with pytest.raises(DataError, match=r'classes\[0\]: yes and no .* write \["no", "yes"\]'):
        read(update)


def test_another_data_set_takes_neither_the_demo_s_experiment_nor_its_small_gan():
    demo = base_config({})
    other = base_config({"ingest": {"adapter": "celeba"}})
    assert set(demo) - set(other) == {"rounds", "seeds", "arms", "split"}
    sizes = {"gamma", "channel_base", "channel_max", "z_dim", "w_dim"}
    assert set(demo["gan"]) - set(other["gan"]) == sizes
    assert other["gan"]["cfg"] == "cpu-32" and base_config({"seed": 1}) == demo


def test_laying_over_leaves_both_as_they_are():
    base, update = {"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}
    assert laid_over(base, update) == {"a": {"b": 1, "c": [2]}}
    assert base == {"a": {"b": 1, "c": [1]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML"), ("- 1", "expected settings by name"), ("", "expected settings")],
)
def test_a_file_that_is_no_config_is_one_line(text, message, tmp_path):
    from evenface.settings import read_config

    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
