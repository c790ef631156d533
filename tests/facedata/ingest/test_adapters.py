"""What all adapters have in common: they are files of a folder, and their fields are settings."""

import subprocess
import sys
import textwrap

import pytest

from facedata.ingest import adapters
from facedata.ingest.adapters import ADAPTERS
from facedata.ingest.reserved import RESERVED
from facekit.errors import DataError

EXTRA = """
from facedata.ingest.adapters import ADAPTERS, Adapter, Ingested
from facedata.ingest.adapters.reading import Log, make_index
from facekit.options import Count, option


@ADAPTERS.register("extra")
class Extra(Adapter):
    num_images: Count = option(2, "How many.")

    def class_lists(self):
        return {"age": None}

    def ingest(self, root, seed):
        ids = [str(number) for number in range(self.num_images)]
        index = make_index(ids, range(1, len(ids) + 1), ids, None, None, {"age": [1.0] * len(ids)})
        return Ingested(index, Log().rejected_table(), Log().notes_table())
"""


def test_one_more_adapter_is_one_file(tmp_path):
    (tmp_path / "extra.py").write_text(EXTRA)
    words = ["ingest", "--adapter=extra", f"--root={tmp_path}", "--seed=0"]
    words += ['--settings={"num_images": 3}']
    for name in ("index.parquet", "rejected.csv", "notes.csv"):
        words.append(f"--{name.partition('.')[0]}={tmp_path / name}")
    code = f"""
        from facedata.ingest import adapters
        adapters.__path__.append({str(tmp_path)!r})
        from facekit.storage import tables
        from facedata.cli import main
        main({words!r}, standalone_mode=False)
        assert len(tables.read({str(tmp_path / "index.parquet")!r})) == 3
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_every_adapter_has_defaults_and_names_no_column_of_ours(name):
    adapter = ADAPTERS[name]()
    assert adapter.needs_root == (name != "avatars")
    if name not in ("table", "file_names"):  # whose attributes are not known
        assert not RESERVED & adapter.class_lists().keys()
        assert set(adapter.given_attributes()) <= set(adapter.class_lists())


@pytest.mark.parametrize("name", ["weight", "seed", "class"])
def test_a_name_of_a_column_of_ours_is_refused(name):
    with pytest.raises(DataError, match=f"attribute '{name}': the name is taken"):
        adapters.read("imagefolder", {"attribute": name})
