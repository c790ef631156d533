"""Settings are checked before any work: one line that names the key."""

import copy
from pathlib import Path

import pytest
import yaml

from facedata.settings import check
from facedata.settings_table import markdown
from facekit.errors import DataError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def laid_over(base, update):
    """Merge as Snakemake does: objects key by key, all else replaced."""
    merged = copy.deepcopy(base)
    for key, value in update.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


def test_default_settings_pass(config, schema):
    check(config, schema)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_every_config_passes(name, config, schema):
    update = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    check(laid_over(config, update), schema)


def test_the_table_of_settings_is_current(config, schema):
    assert markdown(config, schema) in (ROOT / "config/README.md").read_text()


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
        ({"gan": {"gama": 1}}, "config: gan.gama: unknown key; did you mean gamma?"),
        ({"split": {"train": 1.5}}, "config: split.train: 1.5 is"),
        ({"split": {"train": "most"}}, "config: split.train: 'most' is not of type 'number'"),
        ({"gan": {"gamma": "little"}}, "config: gan.gamma: 'little' is not 'auto' or number >= 0"),
        ({"gan": {"kimg": 0}}, "config: gan.kimg: 0 is"),
        ({"gan": {"mirror": "no"}}, "config: gan.mirror: 'no' is not of type 'boolean'"),
        ({"dedup": {"tolerance": {"age": 5}}}, "config: dedup.tolerance: "),
        ({"dedup": {"tolerance": {"glasses": 5}}}, "config: dedup.tolerance: glasses is not"),
        ({"seed": True}, "config: seed: True is not of type 'integer'"),
        ({"dataset": "../elsewhere"}, "config: dataset: '../elsewhere' does not match"),
        ({"arms": ["real", "synth@2"]}, "config: arms[1]: 'synth@2' does not match"),
        ({"arms": []}, "config: arms: []"),
        ({"arms": ["weighted_sampler"]}, "config: compare.baseline: real is no arm of the run"),
        (
            {"arms": ["weighted_loss", "synth@1.0"], "compare": {"baseline": "weighted_loss"}},
            "config: arms: synth@1.0 needs real",
        ),
        ({"gan": {"condition": []}}, "config: gan.condition: empty, but synth@1.0 needs"),
        (
            {"gan": {"condition": ["headwear"]}},
            "config: tasks[0].heads: none predicts ['headwear'] (gan.condition)",
        ),
        ({"gan": {"condition": ["hairs"]}}, "config: gan.condition: no attribute hairs, found"),
        ({"split": {"stratify": ["nose"]}}, "config: split.stratify: no attribute nose"),
        ({"labels": {"attributes": ["nose"]}}, "config: labels.attributes: no attribute nose"),
        ({"labels": {"attributes": "some"}}, "config: labels.attributes: 'some' is not 'all' or"),
        ({"split": {"stratify": "nose"}}, "config: split.stratify: 'nose' is not 'all' or list"),
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
        ({"ingest": {"adapter": "table"}}, "config: ingest.table.attributes: empty"),
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
            "config: ingest.table: attribute 'g': bins [60, 30] do not rise",
        ),
        (
            {
                "dataset_root": "x",
                "ingest": {
                    "adapter": "table",
                    "table": TABLE | {"derived": [{"name": "g", "sources": ["sex", "age"]}]},
                },
            },
            "config: ingest.table: attribute 'g': source 'age' is no categorical attribute",
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
            "config: ingest.table: attribute 'g': 3 classes for 1 edges, expected 2",
        ),
    ],
)
def test_wrong_settings_are_named_in_one_line(update, expected, config, schema):
    with pytest.raises(DataError) as caught:
        check(laid_over(config, update), schema)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_verdict_must_name_a_head(config, schema):
    config["tasks"][0]["verdict"]["head"] = "nose"
    with pytest.raises(DataError, match=r"config: tasks\[0\]\.verdict\.head: nose is no head"):
        check(config, schema)


def test_missing_key_is_named(config, schema):
    del config["gan"]["kimg"]
    with pytest.raises(DataError, match=r"config: gan\.kimg: missing"):
        check(config, schema)
