"""Deficits: what each minority class lacks."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from facedata import cli
from facedata.options import DeficitsOptions
from facedata.packs import deficits, storage
from facekit.errors import DataError
from facekit.storage import tables


def make_pack(counts: list[int], attributes=("color",), classes=None) -> storage.Pack:
    labels = np.repeat(np.arange(len(counts)), counts)
    classes = [[name] for name in "abcdef"[: len(counts)]] if classes is None else classes
    table = pd.DataFrame({"image_id": [str(k) for k in range(len(labels))], "class": labels})
    for place, name in enumerate(attributes):
        table[name] = pd.Categorical([classes[k][place] for k in labels])
    images = np.zeros((len(labels), 4, 4, 3), dtype=np.uint8)
    return storage.Pack(images, table, list(attributes), classes, (0, 0, 4, 4))


def find(pack, minority_below=0.5):
    return deficits.find_deficits(pack, DeficitsOptions(minority_below=minority_below))


def test_minorities_lack_what_the_largest_has_more():
    found = find(make_pack([10, 5, 4, 0]))
    assert list(found.columns) == ["class", "name", "color", "count", "deficit"]
    assert found["count"].tolist() == [10, 5, 4, 0]
    assert found["deficit"].tolist() == [0, 0, 6, 10]  # 5 is not below half of 10


def test_shares_at_the_ends():
    assert find(make_pack([10, 1]), 0.0)["deficit"].tolist() == [0, 0]
    assert find(make_pack([10, 9]), 1.0)["deficit"].tolist() == [0, 1]


def test_joint_classes_have_a_column_an_attribute():
    classes = [["red", "no"], ["red", "yes"]]
    found = find(make_pack([3, 1], ("color", "glasses"), classes))
    assert found.to_dict("records")[1] == {
        "class": 1,
        "name": "red/yes",
        "color": "red",
        "glasses": "yes",
        "count": 1,
        "deficit": 2,
    }


def test_an_unconditional_pack_has_no_classes_that_could_lack():
    pack = make_pack([5], attributes=(), classes=[])
    assert len(find(pack)) == 0


def test_attribute_with_the_name_of_a_column_is_refused():
    with pytest.raises(DataError, match="attribute 'count' has the name"):
        find(make_pack([5, 1], ("count",)))


def test_command(tmp_path):
    pack = make_pack([4, 1])
    path = tmp_path / "train.npy"
    storage.write_pack(
        path, pack.images, pack.table, pack.attributes, pack.classes, pack.content_box
    )
    output = tmp_path / "deficits.csv"
    arguments = [f"--pack={path}", "--minority-below=0.5", f"--deficits={output}"]
    result = CliRunner().invoke(cli.main, ["deficits", *arguments])
    assert result.exit_code == 0, result.output
    assert output.read_text() == "class,name,color,count,deficit\n0,a,a,4,0\n1,b,b,1,3\n"
    assert tables.read(output)["deficit"].tolist() == ["0", "3"]
