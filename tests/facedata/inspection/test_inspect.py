"""One decode of every image: facts, hashes, quality, packed thumbnails; stopped runs go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter
from scipy.fft import dctn

from facedata.cli import main
from facedata.inspection import inspect
from facedata.packs import storage
from facekit.errors import DataError
from facekit.pictures import decode
from facekit.pictures.canvas import Geometry
from facekit.pictures.geometry import box_columns, fit_image
from facekit.pictures.resample import Pictures, to_rgbx
from facekit.storage import tables

DIRTY = Path(__file__).parents[4] / "shared/data/aaf_dirty"
GAN = Geometry(height=32, width=32, fit="pad")
SIZES = {"gan": GAN, "classifier": Geometry(height=48, width=40, fit="crop")}


def portrait(seed=0, width=40, height=52):
    """A smooth colour picture without any symmetry."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 226, (7, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def test_pixel_hash_is_of_pixels_not_of_bytes(tmp_path):
    names = ["a.png", "b.bmp", "c.tif", "d.png"]
    for name in names[:3]:
        portrait().save(tmp_path / name)
    # The same bytes in another shape are another picture.
    Image.fromarray(np.asarray(portrait()).reshape(26, 80, 3)).save(tmp_path / "d.png")
    facts, _ = inspect.examine([str(tmp_path / name) for name in names], {})
    hashes = facts["pixel_hash"].tolist()
    assert len(hashes[0]) == 32
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def pictures(*found):
    return Pictures([to_rgbx(np.asarray(picture.convert("RGB"))) for picture in found])


def hashes(gray):
    plain, mirror = inspect.phash(inspect.thumbnails(pictures(gray)))
    return int(plain[0]), int(mirror[0])


def distance(a, b):
    return (a ^ b).bit_count()


def test_phash_by_definition():
    gray = portrait().convert("L")
    small = inspect.thumbnails(pictures(gray))[0]
    waves = dctn(small.astype(float), norm="ortho")[:8, :8]
    bits = "".join("1" if wave > np.median(waves) else "0" for wave in waves.flat)
    assert hashes(gray)[0] == int(bits, 2)


def test_phash_mirror_is_the_hash_of_the_mirrored_picture():
    for seed in range(20):
        gray = portrait(seed).convert("L")
        plain, mirror = hashes(gray)
        flipped = hashes(gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        assert distance(flipped[0], mirror) <= 2
        assert distance(flipped[1], plain) <= 2
        assert distance(plain, mirror) > 10


def test_phash_is_near_for_copies_and_far_for_others():
    gray = portrait(1, 120, 160).convert("L")
    base = hashes(gray)[0]
    assert distance(base, hashes(gray.resize((60, 80)))[0]) <= 4
    assert distance(base, hashes(gray.point(lambda v: v * 0.8))[0]) <= 4
    others = [hashes(portrait(seed).convert("L"))[0] for seed in range(2, 12)]
    assert min(distance(base, other) for other in others) > 12


def test_phash_of_a_flat_picture_is_its_first_bit_alone():
    for value in (1, 77, 255):
        assert hashes(Image.new("L", (50, 40), value)) == (1 << 63, 1 << 63)


def test_quality_by_hand():
    values = np.zeros((32, 32), np.uint8)
    values[:, 16:] = 255
    found = inspect.quality(pictures(Image.fromarray(values), Image.new("L", (32, 32), 51)))
    found, flat = ({name: values[i] for name, values in found.items()} for i in (0, 1))
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["entropy"] == pytest.approx(1.0)
    # Of 30 columns that have neighbours the Laplacian is 255 in one, -255 in the next.
    assert found["sharpness"] == pytest.approx(255**2 * 2 / 30)
    expected = {"sharpness": 0, "brightness": 0.2, "contrast": 0, "entropy": 0}
    assert flat == pytest.approx(expected, abs=1e-6)


def test_blur_lowers_sharpness_at_any_size():
    for side in (64, 400):
        noise = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
        sharp = Image.fromarray(noise)
        found = inspect.quality(pictures(sharp, sharp.filter(ImageFilter.GaussianBlur(2))))
        assert found["sharpness"][1] < 0.2 * found["sharpness"][0]


@pytest.mark.parametrize(
    ("size", "measured"), [((128, 90), (128, 90)), ((129, 90), (65, 45)), ((1024, 600), (128, 75))]
)
def test_quality_is_measured_at_no_more_than_128_px(size, measured):
    width, height = measured
    noise = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    factor = -(-size[0] // width)
    large = Image.fromarray(noise.repeat(factor, axis=0).repeat(factor, axis=1))
    large = large.crop((0, 0, *size))
    found = inspect.quality(pictures(large))
    values = np.asarray(large.reduce(factor), dtype=float)
    assert found["brightness"][0] == pytest.approx(values.mean() / 255)
    assert found["contrast"][0] == pytest.approx(values.std() / 255)


def test_border_by_hand():
    values = np.full((20, 30, 3), 90, np.uint8)
    values[0] = 0  # a black line of 30 of 96 edge pixels, else (200, 100, 60)
    values[-1] = values[1:, 0] = values[1:, -1] = [200, 100, 60]
    found = inspect.border(pictures(Image.fromarray(values)))
    shares = np.array([30, 66]) / 96
    for name, value in {"border_r": 200, "border_g": 100, "border_b": 60}.items():
        assert found[name][0] == pytest.approx(shares[1] * value)
    variance = shares.prod() * (200**2 + 100**2 + 60**2) / 3
    assert found["border_std"][0] == pytest.approx(variance**0.5)
    values[0] = [200, 100, 60]
    assert inspect.border(pictures(Image.fromarray(values)))["border_std"] == 0


@pytest.fixture
def dataset(tmp_path):
    """80 images, of which three cannot be used; and their index."""
    root = tmp_path / "root"
    root.mkdir()
    for i in range(80):
        portrait(i).save(root / f"{i:02}.png")
    (root / "07.png").write_bytes(b"")
    (root / "40.png").write_text("text")
    (root / "79.png").unlink()
    names = [f"{i:02}.png" for i in range(80)]
    index = pd.DataFrame({"image_id": names, "path": names})
    tables.write(index, tmp_path / "index.parquet")
    return tmp_path


def arguments_of(folder, out, workers):
    geometries = {
        name: {"height": size.height, "width": size.width, "fit": size.fit}
        for name, size in SIZES.items()
    }
    arguments = ["inspect", "--index", folder / "index.parquet", "--root", folder / "root"]
    arguments += ["--geometries", json.dumps(geometries), "--workers", workers]
    arguments += ["--inspection", out / "inspection.parquet", "--images", out / "images"]
    return [str(argument) for argument in arguments]


def run_inspect(folder, out, workers):
    return CliRunner().invoke(main, arguments_of(folder, out, workers))


def test_command_packs_what_decodes_in_order(dataset):
    done = run_inspect(dataset, dataset, workers=1)
    assert done.exit_code == 0, done.output
    table = tables.read(dataset / "inspection.parquet")
    assert table["image_id"].tolist() == [f"{i:02}.png" for i in range(80)]
    assert table["problem"].dropna().to_dict() == {
        7: "empty_file",
        40: "not_an_image",
        79: "missing_file",
    }
    assert table["row"].dropna().tolist() == list(range(77))
    assert table["row"].isna().tolist() == table["problem"].notna().tolist()
    assert table["phash"].dtype == "UInt64"
    for name, size in SIZES.items():
        images = storage.read_images(dataset / "images" / f"{name}.npy")
        assert images.shape == (77, size.height, size.width, 3)
        for i, row in table["row"].dropna().items():
            expected, box = fit_image(portrait(i), size)
            np.testing.assert_array_equal(images[row], expected)
            assert tuple(table.loc[i, box_columns(name)]) == box
    thumbs = storage.read_thumbs(dataset / "images" / "thumbs.npy")
    assert thumbs.shape == (77, 32, 32)
    for i, row in table["row"].dropna().items():
        gray = portrait(i).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        assert np.abs(thumbs[row].astype(int) - np.asarray(gray)).max() <= 2
    assert (dataset / "inspection.run.json").exists()


OUTPUTS = ("inspection.parquet", "images/gan.npy", "images/classifier.npy", "images/thumbs.npy")


def assert_same_outputs(a, b):
    for name in OUTPUTS:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert sorted(path.name for path in (a / "images").iterdir()) == [
        ".inspected",
        "classifier.npy",
        "gan.npy",
        "thumbs.npy",
    ]


def test_number_of_workers_changes_nothing(dataset, monkeypatch):
    monkeypatch.setattr(inspect, "CHUNK", 9)
    monkeypatch.setattr(inspect, "ROW_GROUP", 2)
    for workers in (1, 3):
        done = run_inspect(dataset, dataset / str(workers), workers)
        assert done.exit_code == 0, done.output
    assert_same_outputs(dataset / "1", dataset / "3")


def test_rows_do_not_depend_on_chunks_and_batches(dataset, monkeypatch):
    for chunk in (80, 7):
        monkeypatch.setattr(inspect, "CHUNK", chunk)
        monkeypatch.setattr(inspect, "BATCH", chunk)
        run_inspect(dataset, dataset / str(chunk), workers=1)
    assert_same_outputs(dataset / "80", dataset / "7")


def test_pictures_of_many_sizes_are_told_apart(tmp_path):
    sizes = [(40, 52), (40, 52), (300, 200), (17, 90), (40, 52), (300, 200)]
    for i, size in enumerate(sizes):
        portrait(i, *size).save(tmp_path / f"{i}.png")
    facts, found = inspect.examine([str(tmp_path / f"{i}.png") for i in range(6)], SIZES)
    assert list(zip(facts["width"], facts["height"], strict=True)) == sizes
    for name, size in SIZES.items():
        for i, (width, height) in enumerate(sizes):
            expected, box = fit_image(portrait(i, width, height), size)
            np.testing.assert_array_equal(found[name][i], expected)
            assert tuple(facts[i][column] for column in box_columns(name)) == box


SLOW_RUN = """
import os, sys, time
from facekit.pictures import decode
from facedata.inspection import inspect
from facedata.cli import main
inspect.CHUNK = 8
read = decode.read
def logged(path):
    with open(sys.argv[1], "a") as file:
        print(os.getpid(), file=file)
    time.sleep(float(sys.argv[2]))
    return read(path)
decode.read = logged
main(sys.argv[3:])
"""


def start_inspect(folder, out, log, seconds):
    """Start inspect with small chunks in another process, slowed down by seconds an image."""
    arguments = [*arguments_of(folder, out, workers=2)]
    command = [sys.executable, "-c", SLOW_RUN, log, seconds, *arguments]
    return subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL)


def lines_of(log):
    return log.read_text().splitlines()


def is_running(pid):
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0]


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
def test_a_killed_run_goes_on_where_it_was(dataset):
    run = start_inspect(dataset, dataset / "again", dataset / "killed.log", 0.02)
    wait_until(lambda: len(list((dataset / "again/images/.inspect").rglob("*.npz"))) >= 4)
    run.send_signal(signal.SIGKILL)
    run.wait()
    workers = set(lines_of(dataset / "killed.log"))
    assert len(workers) == 2
    wait_until(lambda: not any(map(is_running, workers)))  # they do not outlive it
    assert not any((dataset / "again" / name).exists() for name in OUTPUTS)
    num_done = 8 * len(list((dataset / "again/images/.inspect").rglob("*.npz")))

    assert start_inspect(dataset, dataset / "again", dataset / "resumed.log", 0).wait() == 0
    assert len(lines_of(dataset / "resumed.log")) == 80 - num_done <= 48
    run_inspect(dataset, dataset / "whole", workers=1)
    assert_same_outputs(dataset / "whole", dataset / "again")


def test_chunks_of_other_files_are_made_again(dataset, monkeypatch):
    """A run is stopped at its end; what it left is used as far as it still holds."""
    monkeypatch.setattr(inspect, "CHUNK", 20)
    publish = inspect._publish
    read = decode.read
    opened = []
    monkeypatch.setattr(decode, "read", lambda path: opened.append(path) or read(path))

    def stop_and_run(change):
        shutil.rmtree(dataset / "images/.inspected", ignore_errors=True)
        monkeypatch.setattr(inspect, "_publish", lambda *values: sys.exit(3))
        run_inspect(dataset, dataset, workers=1)
        assert len(list((dataset / "images/.inspect").rglob("*.npz"))) == 4
        change()
        opened.clear()
        monkeypatch.setattr(inspect, "_publish", publish)
        done = run_inspect(dataset, dataset, workers=1)
        assert done.exit_code == 0, done.output
        found = len(opened)
        run_inspect(dataset, dataset / "fresh", workers=1)
        assert_same_outputs(dataset, dataset / "fresh")
        return found

    def change_pictures():
        (state,) = (dataset / "images/.inspect").iterdir()
        path = state / "gan.npy"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1  # as if it had not reached the disk
        path.write_bytes(data)

    assert stop_and_run(lambda: None) == 0
    assert stop_and_run(lambda: portrait(99).save(dataset / "root/25.png")) == 20
    assert stop_and_run(lambda: (dataset / "root/61.png").unlink()) == 20
    assert stop_and_run(change_pictures) == 20
    assert (
        stop_and_run(
            lambda: monkeypatch.setitem(SIZES, "gan", Geometry(height=32, width=32, fit="crop"))
        )
        == 80
    )


def test_only_new_and_changed_files_are_read_again(dataset, monkeypatch):
    """As where pictures are put beside those of an inspection whose outputs are removed."""
    monkeypatch.setattr(inspect, "CHUNK", 20)
    read = decode.read
    opened = []
    monkeypatch.setattr(decode, "read", lambda path: opened.append(Path(path).name) or read(path))

    def run(root):
        opened.clear()
        done = run_inspect(dataset, root, workers=1)
        assert done.exit_code == 0, done.output
        return set(opened)

    def run_again():
        for name in OUTPUTS:
            (dataset / name).unlink()
        found = run(dataset)
        assert len(run(dataset / "fresh")) == len(tables.read(dataset / "index.parquet"))
        assert_same_outputs(dataset, dataset / "fresh")
        shutil.rmtree(dataset / "fresh")
        return found

    assert len(run(dataset)) == 80
    index = tables.read(dataset / "index.parquet")
    facts = tables.read(dataset / "inspection.parquet")
    broken = {Path(path).name for path in index["path"][facts["problem"].notna()]}

    # What could not be used is tried again; the others are known though all of them have moved.
    portrait(100).save(dataset / "root/000.png")
    more = pd.DataFrame({"image_id": ["000"], "path": ["000.png"]})
    tables.write(pd.concat([more, index], ignore_index=True), dataset / "index.parquet")
    assert run_again() == {"000.png", *broken}
    assert run_again() == broken
    portrait(99).save(dataset / "root/25.png")
    (dataset / "root/61.png").unlink()
    assert run_again() == {"25.png", "61.png", *broken}
    monkeypatch.setitem(SIZES, "gan", Geometry(height=32, width=32, fit="crop"))
    assert len(run_again()) == 81
    (dataset / "images/.inspected/files.parquet").write_bytes(b"PAR1")
    assert len(run_again()) == 81


def test_hashes_survive_the_table(dataset):
    run_inspect(dataset, dataset, workers=1)
    table = tables.read(dataset / "inspection.parquet")
    expected = hashes(portrait(3).convert("L"))
    assert (int(table["phash"][3]), int(table["phash_mirror"][3])) == expected


def test_each_file_is_decoded_once(dataset, monkeypatch):
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: opened.append(1) or real(*a, **k))
    run_inspect(dataset, dataset, workers=1)
    assert len(opened) == 78  # all but the empty and the missing one


def test_no_usable_image_stops_the_stage(dataset):
    (dataset / "root").rename(dataset / "elsewhere")
    (dataset / "root").mkdir()
    done = run_inspect(dataset, dataset, workers=1)
    assert done.exit_code == 1
    assert "none of 80 images can be used (80 missing_file" in done.output
    assert not any((dataset / name).exists() for name in OUTPUTS)


def test_an_index_without_paths_is_named(dataset):
    tables.write(pd.DataFrame({"image_id": ["a"]}), dataset / "index.parquet")
    done = run_inspect(dataset, dataset, workers=1)
    assert done.exit_code == 1
    assert "index.parquet: no column ['path'], found ['image_id']" in done.output


def test_the_name_of_the_thumbnails_is_taken(dataset):
    index = pa.table({"image_id": ["a"], "path": ["a"]})
    with pytest.raises(DataError, match="'thumbs': this name is taken"):
        inspect.inspect(index, dataset, {"thumbs": GAN}, 1, dataset / "images", dataset / "x")


def test_the_table_is_as_pandas_would_have_written_it(dataset):
    run_inspect(dataset, dataset, workers=1)
    table = tables.read(dataset / "inspection.parquet")
    tables.write(table, dataset / "again.parquet")
    pd.testing.assert_frame_equal(tables.read(dataset / "again.parquet"), table)
    kinds = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert {kinds[name] for name in ("width", "jpeg_quality", "gan_left", "row")} == {"Int64"}
    assert kinds["phash"] == kinds["phash_mirror"] == "UInt64"
    assert kinds["image_id"] == kinds["problem"] == kinds["pixel_hash"] == "str"
    assert kinds["border_std"] == "float64"
    assert table["num_bytes"].tolist()[:2] == [
        (dataset / "root" / name).stat().st_size for name in ("00.png", "01.png")
    ]
    assert table["jpeg_quality"].isna().all()
    bad = table[table["problem"].notna()].set_index("image_id")
    assert bad.drop(columns=["problem", "num_bytes"]).isna().all(axis=None)


@pytest.mark.skipif(not DIRTY.is_dir(), reason="data set is not here")
def test_planted_faults_are_all_found():
    truth = pd.read_csv(DIRTY / "truth.csv", dtype=str)
    truth = truth[truth["fault"].eq("broken") & truth["kind"].ne("row_without_file")]
    facts, _ = inspect.examine([str(DIRTY / file) for file in truth["file"]], {"gan": GAN})
    expected = {
        "truncated_jpeg": "truncated",
        "zero_bytes": "empty_file",
        "text_named_jpg": "not_an_image",
        "one_by_one": "too_small",
    }
    for found, kind, usable in zip(facts, truth["kind"], truth["usable"], strict=True):
        if usable == "no":
            assert found["problem"] == expected[kind]
            continue
        assert found["problem"] == ""
        assert found["height"] == 160  # upright
        assert 0.15 < found["brightness"] < 0.85  # neither clipped nor dark
        assert 0.1 < found["contrast"] < 0.4
