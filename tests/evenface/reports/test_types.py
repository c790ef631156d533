"""Public reports of values that YAML, JSON or a command line turn into others.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import json

import pytest
from click.testing import CliRunner
from generators import make_generator
from reported import run

from evenface import cli as evenface
from evenface import settings
from facedata.cli import main as facedata
from facekit.errors import DataError
from stylegan2.cli import main as stylegan2
from stylegan2.models import checkpoint


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return settings.read_config(path)

    return read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # yaml/pyyaml#165, rbgirshick/yacs#17: the first of two is lost.
        ("gan:\n  kimg: 3\nseed: 1\ngan:\n  batch: 4\n", "line 4: gan is there already, in line 1"),
        ("gan: {kimg: 3, kimg: 4}\n", "line 1: kimg is there already, in line 1"),
        # opensanctions/opensanctions#3845, wireviz/WireViz#213, yaml/pyyaml#107.
        ("seed: 010\n", "line 1: '010' is 8 to YAML"),
        # docker/compose#103, yaml/pyyaml#395.
        ("ages:\n- 1:30\n", "line 2: '1:30' is 90 to YAML"),
        ("ages: [19_40]\n", "'19_40' is 1940 to YAML; write that, or put the text in quotes"),
        # yaml/pyyaml#382, faucetsdn/faucet#1461: days that there are, and some that there are not.
        ("classes: [2020-01-02]\n", '2020-01-02 is a date to YAML; put it in quotes: "2020-01-02"'),
        ("classes: [0000-00-00]\n", "0000-00-00 is a date to YAML"),
        ("seed: 0b_\n", "not YAML ("),
        (f"seed: {'9' * 5000}\n", "not YAML ("),
        (f"seed: {'[' * 3000}\n", "not YAML (too many lists or objects within one another)"),
        ("gan: &a {gan: *a}\n", "not YAML ("),
    ],
)
def test_what_yaml_turns_into_something_else_is_refused(read, text, words):
    with pytest.raises(DataError) as caught:
        read(text)
    said = str(caught.value)
    assert "mine.yaml" in said and words in said and len(said) < 500


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-12", -12),
        ("+0.5", 0.5),
        ("1.5e-3", 0.0015),
        ("'010'", "010"),
        ('"2020-01-02"', "2020-01-02"),
        ("1e-3", "1e-3"),  # text to YAML 1.1, a number where one is expected
        ("yes", True),
    ],
)
def test_plain_values_are_as_they_were(read, text, value):
    found = read(f"a: {text}\n")["a"]
    assert found == value and type(found) is type(value)


def test_what_is_merged_into_an_object_may_be_said_again_in_it(read):
    found = read("a: &a {p: 1, q: 2}\nb:\n  <<: *a\n  q: 3\n")
    assert found["b"] == {"p": 1, "q": 3}


def test_a_value_on_the_command_line_is_read_like_one_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text, words in {
        "seed=010": "'010' is 8 to YAML",
        "gan={kimg: 1, kimg: 2}": "kimg is there already",
        "seed=2020-13-45": "is a date to YAML",
        "seed": "expected KEY=VALUE",
    }.items():
        code, line = run(evenface.main, "plan", "--config", text)
        assert code == 1 and words in line


# --- JSON


DERIVED = ["--index", "--rejected", "--inspection", "--faces", "--duplicates"]
DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "'5' is not list of objects"),
        ('"x"', "is not list of objects"),
        ("null", "is not list of objects"),
        ("[1]", "1 is not object"),
        ("[{}]", "missing"),
        ('[{"name": "x"}]', "([0].source): missing"),
        ('[{"name": "x", "source": "age", "bins": [3, 1], "classes": ["a", "b"]}]', "do not rise"),
        (DEEP, "not JSON: too many lists or objects within one another"),
        ('[{"name": "x", "name": "y"}]', "not JSON: name is there twice"),
        ("[NaN]", "not JSON"),
    ],
)
def test_json_of_another_shape_is_told_with_its_option(tmp_path, text, words):
    """As yaml/pyyaml#165, in JSON: a key given twice; another type, another depth."""
    inputs = []
    for name in DERIVED:
        (tmp_path / name).write_text("")
        inputs += [name, tmp_path / name]
    made = {one: tmp_path / f"{one}.csv" for one in ("curated", "dropped", "decisions")}
    outputs = [word for one, path in made.items() for word in (f"--{one}", path)]
    done = CliRunner().invoke(
        facedata, ["curate", *map(str, [*inputs, *outputs]), "--derived", text]
    )
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    last = done.output.strip().splitlines()[-1]
    assert "--derived" in last and words in last, last


def test_settings_of_an_adapter_are_told_what_they_are(tmp_path):
    made = {one: tmp_path / f"{one}.csv" for one in ("index", "rejected", "notes")}
    outputs = [word for one, path in made.items() for word in (f"--{one}", path)]
    command = ["ingest", "--adapter", "imagefolder", "--root", tmp_path, "--seed", 0, *outputs]
    for text in ("5", "null", "[]"):
        code, line = run(facedata, *command, "--settings", text)
        assert code == 1 and line.endswith(f"imagefolder: {json.loads(text)} is not object")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "is not list of text"),
        ("null", "is not list of text"),
        ('[["a"], "b"]', "is not text"),
        ("[true, false]", 'write ["no", "yes"]'),
        ('["a", "a"]', "a is named twice"),
    ],
)
def test_classes_on_a_command_line_are_texts(tmp_path, text, words):
    """canonical/cloud-init#6127: no is false."""
    (tmp_path / "labels.csv").write_text("file,label\n1.jpg,a\n")
    (tmp_path / "p.npy").write_bytes(b"")
    files = ["--labels", tmp_path / "labels.csv", "--probabilities", tmp_path / "p.npy"]
    code, line = run(facedata, "doubts", *files, "--classes", text)
    assert code == 2 and "--classes" in line and words in line


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(*make_generator(c_dim=3), path)
    return path


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        # lucocozz/Argus#59: a list of all numbers of a range takes all memory.
        ("0-4294967295", "more than 1,000,000 seeds"),
        # kijai/ComfyUI-Florence2#49: beyond what the generator of numbers takes.
        ("4294967296", "'4294967296' is no range within 0..4294967295"),
        ("9" * 5000, "is no number, expected 0-7,42"),
        ("1_0", "'1_0' is no number"),
    ],
)
def test_seeds_out_of_reason_are_refused(tmp_path, network, seeds, words):
    command = ["generate", "--network", network, "--class", 0, "--outdir", tmp_path / "faces"]
    code, line = run(stylegan2, *command, "--seeds", seeds)
    assert code == 1 and words in line and len(line) < 300
    assert not list(tmp_path.glob("faces/*.png"))


def test_a_whole_number_beyond_its_type_is_named(tmp_path, network):
    """dask/dask#2041: 'Python int too large to convert to C long'."""
    deficits = tmp_path / "deficits.csv"
    deficits.write_text(f"class,name,count,deficit\n0,red/yes,2,1\n1,red/no,2,{10**22}\n")
    outputs = ["--images", tmp_path / "synth.npy", "--samples", tmp_path / "samples.csv"]
    code, line = run(stylegan2, "synth", "--network", network, "--deficits", deficits, *outputs)
    assert code == 1 and f"column deficit, row 2: found '{10**22}', expected int64" in line
