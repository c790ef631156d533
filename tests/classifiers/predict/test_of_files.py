"""Predict: photos of any kind, each of them a row, and predictions that are the classifier's."""

import json
from functools import partial
from pathlib import Path

import classifier_sets as sets
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from held_tables import hold
from layouts import write, write_zip
from PIL import Image
from portrait_classifiers import HEADS, SIZE, VIEW, save
from unseen_photos import (
    encoded,
    noise,
    portrait,
    turned,
    undecodable,
    write_photos,
)

from classifiers import cli
from classifiers.columns import PHOTOS
from classifiers.images import photos
from classifiers.images.data import ImagePool
from classifiers.models import checkpoint
from classifiers.options import PredictOptions
from classifiers.predict import inference, of_files
from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES
from facedata.inspection import inspect
from facekit.errors import DataError
from facekit.pictures.geometry import fit_image

SHARED = Path(__file__).parents[4] / "shared" / "data"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model") / "model.safetensors")


def invoke(model, images, out, *more):
    options = ["predict", "--model", model, "--images", images, "--out", out, "--threads", 1]
    done = CliRunner().invoke(cli.main, [str(one) for one in [*options, "--device", "cpu", *more]])
    assert done.exit_code == 0, done.output
    return done


def test_each_of_200_photos_is_a_row_and_none_is_lost(model, tmp_path):
    num_faces, num_others, num_broken = write_photos(tmp_path / "photos")
    assert num_faces + num_others + num_broken == 200
    out, sheet = tmp_path / "out.csv", tmp_path / "sheet.png"
    invoke(model, tmp_path / "photos", out, "--align", "--sheet", sheet)
    table = pd.read_csv(out, keep_default_na=False)
    assert len(table) == 200 and table["file"].is_unique
    hold(out, PHOTOS)
    kind = table["file"].str.partition("/")[0].where(table["file"].str.contains("/"), "face")
    assert (table.loc[kind == "face", "problem"] == "").all()
    assert (table.loc[kind == "others", "problem"] == "no face found").all()
    reasons = {f"broken/{name}": word for name, (_, word) in undecodable().items()}
    broken = table[kind == "broken"].set_index("file")["problem"]
    assert broken.to_dict() == {name: f"not decodable: {word}" for name, word in reasons.items()}

    # Predictions are there exactly where there is no problem.
    is_right = table["problem"] == ""
    for column in table.columns.drop(["file", "problem"]):
        assert ((table[column] != "") == is_right).all(), column
    assert (table.loc[is_right, "face"] == "1").all()
    with Image.open(sheet) as picture:
        assert picture.width == 8 * 150 and picture.height > 25 * 160


def test_a_photo_turned_by_exif_is_predicted_as_one_that_is_not(model, tmp_path):
    face = portrait(300)
    for number in range(1, 9):
        write(tmp_path / f"photos/{number}.png", turned(face, number))
    for name, more in {"whole": (), "aligned": ("--align",)}.items():
        invoke(model, tmp_path / "photos", tmp_path / f"{name}.csv", *more)
        table = pd.read_csv(tmp_path / f"{name}.csv").drop(columns=["file", "problem"])
        assert len(table) == 8
        for _, row in table.iterrows():
            assert row.equals(table.iloc[0].rename(row.name))


def test_predictions_are_those_of_the_classifier(model, tmp_path):
    """As computed here from the photos, fitted and cut to the view by Pillow alone."""
    pictures = {f"{seed}.png": noise(seed, 48, 64) for seed in range(5)}
    for name, picture in pictures.items():
        write(tmp_path / "photos" / name, encoded(picture, "PNG"))
    out = tmp_path / "out.parquet"
    invoke(model, tmp_path / "photos", out, "--batch", 2)
    table = pd.read_parquet(out).set_index("file")

    classifier, _ = checkpoint.load_classifier(model)
    for name, picture in pictures.items():
        seen = np.array(picture.crop((4, 4, 44, 60)), dtype=np.float32).transpose(2, 0, 1) / 255
        seen = torch.from_numpy(seen)[None]
        seen = torch.nn.functional.interpolate(seen, VIEW.size, mode="bilinear", antialias=True)
        with torch.inference_mode():
            logits = classifier(seen)[0].double().numpy()
        prob = np.exp(logits[:3]) / np.exp(logits[:3]).sum()
        row = table.loc[name]
        given = row[["color:red", "color:green", "color:blue"]].to_numpy(dtype=float)
        np.testing.assert_allclose(given, prob, atol=1e-5)
        assert row["color"] == ("red", "green", "blue")[prob.argmax()]
        smile = 1 / (1 + np.exp(-logits[3]))
        assert row["smile:yes"] == pytest.approx(smile, abs=1e-5)
        assert row["smile"] == ("yes" if smile > 0.5 else "no")
        assert row["age"] == pytest.approx(40 + 12 * logits[4], abs=1e-3)


def test_a_calibration_beside_the_model_is_used(model, tmp_path):
    """Temperatures change probabilities, thresholds the class of two."""
    for seed in range(6):
        write(tmp_path / f"photos/{seed}.png", encoded(noise(seed, 48, 64), "PNG"))
    invoke(model, tmp_path / "photos", tmp_path / "plain.parquet")
    plain = pd.read_parquet(tmp_path / "plain.parquet")
    threshold = float(plain["smile:yes"].median())
    calibrated = save(tmp_path / "model.safetensors")
    values = {
        "color": {"temperature": 3.0, "threshold": None},
        "smile": {"temperature": 1.0, "threshold": threshold},
    }
    (tmp_path / "calibration.json").write_text(json.dumps(values))
    invoke(calibrated, tmp_path / "photos", tmp_path / "out.parquet")
    table = pd.read_parquet(tmp_path / "out.parquet")
    names = [f"color:{one}" for one in HEADS[0].classes]
    flat = plain[names] ** (1 / 3)
    np.testing.assert_allclose(table[names], flat.div(flat.sum(axis=1), axis=0), atol=1e-9)
    assert table["smile"].tolist() == [
        "yes" if one >= threshold else "no" for one in plain["smile:yes"]
    ]
    assert table["smile"].nunique() == 2
    assert set(table["smile.threshold"]) == {threshold}
    assert set(table["Male.threshold"]) == {0.5}
    assert "color.threshold" not in table and "age.threshold" not in table
    pd.testing.assert_frame_equal(table[["age", "Male", "color"]], plain[["age", "Male", "color"]])


def test_the_library_predicts_photos_without_a_command(model, tmp_path):
    for seed in range(3):
        write(tmp_path / f"photos/{seed}.png", encoded(noise(seed, 48, 64), "PNG"))
    write(tmp_path / "photos/3.png", b"broken")
    invoke(model, tmp_path / "photos", tmp_path / "out.parquet", "--batch", 2)
    options = PredictOptions(batch=2)
    found = of_files.predict_files([model], str(tmp_path / "photos"), options, CPU, num_shown=2)
    of_files.write_predictions(found, "csv", tmp_path / "again.parquet")
    assert [head.name for head in found.heads] == [head.name for head in HEADS]
    assert found.table["problem"].notna().tolist() == [False] * 3 + [True]
    assert [one.shape for one in found.shown] == [(SIZE.height, SIZE.width, 3)] * 2
    tables_made = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("again", "out")]
    pd.testing.assert_frame_equal(*tables_made)


NUMBERS = ["color:red", "color:green", "color:blue", "smile:yes", "age", "Male:yes"]


def test_looking_at_mirror_images_too_is_the_mean(model, tmp_path):
    for seed in range(3):
        picture = noise(seed, 48, 64)
        write(tmp_path / f"photos/{seed}.png", encoded(picture, "PNG"))
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        write(tmp_path / f"mirrored/{seed}.png", encoded(mirrored, "PNG"))
    found = []
    for folder, tta in (("photos", "none"), ("mirrored", "none"), ("photos", "flip")):
        invoke(model, tmp_path / folder, tmp_path / "out.parquet", "--tta", tta)
        found.append(pd.read_parquet(tmp_path / "out.parquet")[NUMBERS])
    assert (found[0] - found[1]).abs().max().min() > 1e-4
    np.testing.assert_allclose(found[2], (found[0] + found[1]) / 2, rtol=1e-5)


def test_several_models_are_the_mean_and_their_calibration_lies_above(tmp_path):
    for seed in range(3):
        write(tmp_path / f"photos/{seed}.png", encoded(noise(seed, 48, 64), "PNG"))
    models = [save(tmp_path / f"fold{seed}/model.safetensors", seed=seed) for seed in (1, 2)]
    found = []
    for model, *more in ([models[0]], [models[1]], [models[0], "--model", models[1]]):
        invoke(model, tmp_path / "photos", tmp_path / "out.parquet", *more)
        found.append(pd.read_parquet(tmp_path / "out.parquet"))
    mean = (found[0][NUMBERS] + found[1][NUMBERS]) / 2
    np.testing.assert_allclose(found[2][NUMBERS], mean, rtol=1e-5)
    values = {"smile": {"temperature": 1.0, "threshold": 0.0}}
    (tmp_path / "calibration.json").write_text(json.dumps(values))
    invoke(models[0], tmp_path / "photos", tmp_path / "out.csv", "--model", models[1])
    assert (pd.read_csv(tmp_path / "out.csv")["smile"] == "yes").all()


def test_photos_of_any_size_are_fitted_as_training_thumbnails_are(model, tmp_path):
    sizes = [(48, 64), (640, 480), (31, 200), (17, 16)]
    for number, size in enumerate(sizes):
        write(tmp_path / f"photos/{number}.png", encoded(noise(number, *size), "PNG"))
    invoke(model, tmp_path / "photos", tmp_path / "out.parquet")
    table = pd.read_parquet(tmp_path / "out.parquet")
    classifier, _ = checkpoint.load_classifier(model)
    fitted = np.stack([fit_image(noise(k, *size), SIZE)[0] for k, size in enumerate(sizes)])
    pool = ImagePool([(fitted, np.arange(len(sizes)))])
    expected = inference.predict(classifier, pool, 4, CPU, "test")
    np.testing.assert_allclose(table["age"], expected["age"], rtol=1e-5)
    np.testing.assert_allclose(table["Male:yes"], expected["Male"][:, 1], atol=1e-6)


def test_several_faces_are_several_rows(model, tmp_path):
    canvas = Image.new("RGB", (900, 500), "gray")
    canvas.paste(portrait(200), (20, 100))
    canvas.paste(portrait(420), (400, 40))
    write(tmp_path / "photos/two.jpg", encoded(canvas))
    out = tmp_path / "out.csv"
    invoke(model, tmp_path / "photos", out, "--align", "--sheet", tmp_path / "sheet.png")
    table = pd.read_csv(out)
    assert table["file"].tolist() == ["two.jpg"] * 2
    assert table["face"].tolist() == [1, 2]
    assert table["x0"][0] > 400 > table["x1"][1]


def test_photos_are_named_as_they_lie(model, tmp_path):
    data = {name: encoded(noise(k, 40, 40)) for k, name in enumerate(["b.jpg", "a/c.jpg"])}
    for name, content in data.items():
        write(tmp_path / "photos" / name, content)
    write(tmp_path / "photos/notes.txt", "not asked for")
    archive = write_zip(tmp_path / "photos.zip", data)
    file = tmp_path / "photos/b.jpg"
    pattern = tmp_path / "photos/**/*.jpg"
    assert list(photos.find_photos(str(tmp_path / "photos")).paths) == ["a/c.jpg", "b.jpg"]
    assert list(photos.find_photos(str(archive)).paths) == ["a/c.jpg", "b.jpg"]
    assert list(photos.find_photos(str(file)).paths) == [str(file)]
    names = [str(tmp_path / "photos" / name) for name in ("a/c.jpg", "b.jpg")]
    assert list(photos.find_photos(str(pattern)).paths) == names
    whole = partial(photos.whole_photo, geometry=SIZE)
    for path in [*photos.find_photos(str(archive)).paths.values(), *names]:
        assert whole(path).problem is None


@pytest.mark.parametrize("output", ["--sheet", "--out"])
def test_no_photo_is_replaced_and_that_is_said_before_predicting(
    model, tmp_path, monkeypatch, output
):
    """As facebook/zstd#1422: the input is destroyed where it is the output."""
    monkeypatch.setattr(of_files, "predict_photos", lambda *_: pytest.fail("it predicts"))
    photo = write(tmp_path / "photos/a.png", encoded(portrait(), "PNG"))
    before = photo.read_bytes()
    options = ["--model", model, "--images", photo.parent, "--format", "celeba"]
    outputs = {"--out": tmp_path / "o.txt", output: photo}
    words = [*options, *(word for pair in outputs.items() for word in pair)]
    done = CliRunner().invoke(cli.main, ["predict", *map(str, words)])
    assert done.exit_code == 1 and "a.png: that is --images, too" in done.output
    assert photo.read_bytes() == before


@pytest.mark.parametrize("images", ["nothing", "empty", "nothing/*.jpg"])
def test_no_photos_is_one_line(model, tmp_path, images):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture there"):
        photos.find_photos(str(tmp_path / images))


def test_memory_holds_a_batch_of_thumbnails_only(model, monkeypatch):
    """A generator of photos is drawn from no further ahead than a batch and the readers need."""
    classifier, _ = checkpoint.load_classifier(model)
    thumbnail = np.zeros((1, SIZE.height, SIZE.width, 3), np.uint8)
    read, most = [], []
    monkeypatch.setattr(
        of_files, "to_batch", lambda x, d: most.append(len(x)) or torch.zeros(len(x), 3, 64, 48)
    )

    def one(path):
        read.append(path)
        assert len(read) <= sum(most) + 8 + 1
        return photos.Photo(thumbnail)

    paths = {str(k): str(k) for k in range(50)}
    ask = of_files.Ask([classifier], "none", {}, 8, CPU)
    found = of_files.predict_photos(ask, paths, one, 3, num_readers=1)
    assert len(found.table) == 50 and len(found.shown) == 3
    assert most == [8] * 6 + [2]


def test_the_published_text_has_40_values_a_photo(model, tmp_path):
    write(tmp_path / "photos/a.jpg", encoded(noise(0, 60, 70)))
    write(tmp_path / "photos/b.jpg", b"broken")
    write(tmp_path / "photos/c.jpg", encoded(noise(1, 300, 200)))
    invoke(model, tmp_path / "photos", tmp_path / "out.txt", "--format", "celeba")
    invoke(model, tmp_path / "photos", tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv").set_index("file")
    lines = [line.split(" ") for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["a.jpg", "b.jpg", "c.jpg"]
    for name, *values in lines:
        values = dict(zip(CELEBA_ATTRIBUTES, map(int, values), strict=True))
        for attribute, head in {"Smiling": "smile", "Male": "Male"}.items():
            expected = {"yes": 1, "no": -1}.get(table.loc[name, head], 0)
            assert values.pop(attribute) == expected
            assert expected or name == "b.jpg"
        assert set(values.values()) == {0}


def test_the_published_text_needs_heads_of_celeba(tmp_path):
    model = save(tmp_path / "model.safetensors", HEADS[:1])
    write(tmp_path / "a.jpg", encoded(noise(0, 60, 70)))
    options = ["--model", model, "--images", tmp_path, "--out", tmp_path / "out.txt"]
    options = ["predict", *options, "--format", "celeba", "--device", "cpu"]
    done = CliRunner().invoke(cli.main, list(map(str, options)))
    assert done.exit_code == 1
    assert "error: format celeba: none of CelebA's 40 attributes is predicted" in done.output
    assert not (tmp_path / "out.txt").exists()


def test_a_table_of_another_suffix_is_refused_before_the_work(tmp_path):
    options = ["--model", save(tmp_path / "model.safetensors"), "--images", tmp_path / "none"]
    (tmp_path / "none").mkdir()  # no photo: what is said of them would come later
    options = ["predict", *options, "--out", tmp_path / "out.txt"]
    done = CliRunner().invoke(cli.main, list(map(str, options)))
    assert done.exit_code == 1
    assert "out.txt: expected a name that ends in .csv or .parquet" in done.output


def test_aligning_needs_a_framing(tmp_path):
    model = save(tmp_path / "model.safetensors", framing=None)
    write(tmp_path / "a.jpg", encoded(noise(0, 60, 70)))
    options = ["--model", model, "--images", tmp_path, "--out", tmp_path / "out.csv", "--align"]
    done = CliRunner().invoke(cli.main, ["predict", *map(str, options), "--device", "cpu"])
    assert done.exit_code == 1
    assert "does not say how faces lie in its training images" in done.output


def test_training_keeps_how_faces_lie(tmp_path):
    """The median over images of train; what lies in others is not looked at."""
    data = sets.DataSet(tmp_path / "data")
    rng = np.random.default_rng(0)
    points = np.array([[8, 12], [16, 12], [12, 17], [9, 22], [15, 22]]) + rng.normal(
        size=(len(data.table), 5, 2)
    )
    is_train = (data.table["split"] == "train").to_numpy()
    points[~is_train] = 1000
    columns = [f"{p}_{a}" for p in ("left_eye", "right_eye", "nose") for a in "xy"]
    columns += [f"mouth_{side}_{a}" for side in ("left", "right") for a in "xy"]
    faces = pd.DataFrame(points.reshape(-1, 10), columns=columns)
    faces.insert(0, "image_id", data.table["image_id"].to_numpy())
    faces["non_face"] = False
    faces.sample(frac=1, random_state=0).to_parquet(tmp_path / "faces.parquet")
    options = data.train_options(tmp_path / "run", epochs=0.5, faces=tmp_path / "faces.parquet")
    done = CliRunner().invoke(cli.main, list(map(str, options)))
    assert done.exit_code == 0, done.output
    _, meta = checkpoint.load_classifier(tmp_path / "run/model.safetensors")
    np.testing.assert_allclose(meta["framing"], np.median(points[is_train], axis=0), atol=1e-3)


@pytest.mark.skipif(not (SHARED / "aaf_dirty").is_dir(), reason="no real faces here")
def test_real_faces_and_planted_faults_are_all_told(model, tmp_path):
    truth = pd.read_csv(SHARED / "aaf_dirty/truth.csv").set_index("file")
    kinds = {"broken": 40, "non_face": 25, "duplicate": 40}
    files = [
        name
        for fault, number in kinds.items()
        for name in truth.index[truth["fault"] == fault].unique()[:number]
        if (SHARED / "aaf_dirty" / name).is_file()
    ]
    (tmp_path / "photos").mkdir()
    for name in files:
        (tmp_path / "photos" / Path(name).name).symlink_to(SHARED / "aaf_dirty" / name)
    invoke(model, tmp_path / "photos", tmp_path / "out.csv", "--align")
    table = pd.read_csv(tmp_path / "out.csv")
    assert sorted(table["file"].unique()) == sorted(Path(name).name for name in files)
    names = {Path(name).name: name for name in files}
    table["fault"] = table["file"].map(lambda name: truth.loc[[names[name]], "fault"].iloc[0])
    table["kind"] = table["file"].map(lambda name: truth.loc[[names[name]], "kind"].iloc[0])
    assert table.loc[table["fault"] == "duplicate", "problem"].isna().all()
    is_none = table["problem"] == "no face found"
    assert is_none[table["fault"] == "non_face"].mean() > 0.9
    undecodable = table["problem"].fillna("").str.startswith("not decodable")
    hopeless = ["zero_bytes", "text_named_jpg", "one_by_one"]
    assert undecodable[table["kind"].isin(hopeless)].all()
    strange = ["grayscale_jpeg", "cmyk_jpeg", "png_16_bit", "png_rgba", "exif_rotated"]
    assert table.loc[table["kind"].isin(strange), "problem"].isna().all()


# --- Models of faces that were cut out


def small_faces(folder):
    """Write two pictures of a small face, and one of none."""
    for number, (left, height) in enumerate([(10, 80), (110, 100)]):
        photo = Image.new("RGB", (220, 140), (90, 110, 130))
        photo.paste(portrait(height), (left, 30))
        write(folder / f"{number}.png", encoded(photo, "PNG"))
    write(folder / "none.png", encoded(noise(0, 120, 90), "PNG"))


def test_a_model_of_fit_face_sees_photos_as_its_images_were_packed(tmp_path):
    framed = SIZE.but(fit="face", no_face="stretch")
    model = save(tmp_path / "model.safetensors", geometry=framed, framing=None)
    small_faces(tmp_path / "photos")
    done = invoke(model, tmp_path / "photos", tmp_path / "out.csv")
    assert "1 of 3 photos show no face that is found: stretched whole" in done.output
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["file"].tolist() == ["0.png", "1.png", "none.png"]
    assert table["x0"].isna().tolist() == [False, False, True]
    assert table["color"].notna().all()
    _, packed = inspect.examine(
        [str(tmp_path / "photos" / name) for name in table["file"]], {"classifier": framed}
    )
    found = of_files.predict_files(
        [model], str(tmp_path / "photos"), PredictOptions(), CPU, num_shown=3
    )
    np.testing.assert_array_equal(np.stack(found.shown), packed["classifier"])


def test_aligning_for_a_model_of_fit_face_brings_all_faces_to_its_framing(tmp_path):
    framed = SIZE.but(fit="face")
    model = save(tmp_path / "model.safetensors", geometry=framed, framing=None)
    small_faces(tmp_path / "photos")
    found = of_files.predict_files(
        [model], str(tmp_path / "photos"), PredictOptions(align=True), CPU, num_shown=3
    )
    assert found.table["problem"].isna().tolist() == [True, True, False]
    _, packed = inspect.examine([str(tmp_path / "photos/0.png")], {"classifier": framed})
    np.testing.assert_array_equal(found.shown[0], packed["classifier"][0])


def test_a_model_of_faces_cut_out_of_photographs_looks_for_faces_unasked(tmp_path):
    model = save(tmp_path / "model.safetensors", faces="cut")
    small_faces(tmp_path / "photos")
    done = invoke(model, tmp_path / "photos", tmp_path / "out.csv")
    assert "trained on faces that were cut out of photographs" in done.output
    invoke(save(tmp_path / "plain.safetensors"), tmp_path / "photos", tmp_path / "a.csv", "--align")
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "a.csv").read_text()
