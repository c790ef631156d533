"""How faces lie in photographs, and what is said of it."""

from pathlib import Path

import pytest
from PIL import Image

from evenface.init import faces
from evenface.init.faces import Faces

REAL = Path(__file__).parents[4] / "shared/data/aaf/images"
PORTRAITS = Faces(num=24, found=1.0, several=0.0, turned=0.0, height=0.7)


def changed(**values):
    return list(Faces(**{**vars(PORTRAITS), **values}).lines())


def test_portraits_need_no_word():
    assert changed() == [] and PORTRAITS.are_portraits


def test_each_oddity_is_said():
    assert changed(found=0.1) == ["no face was found in 90% of 24 photographs looked at: drawings?"]
    assert changed(found=0.75)[0].endswith("; they are kept")
    assert "several faces in 50%" in changed(several=0.5)[0]
    assert "faces are small, 12% of the photograph" in changed(height=0.12)[0]
    assert "25% of the faces are turned" in changed(turned=0.25)[0]
    assert "30% of the faces are off centre" in changed(off_centre=0.3)[0]


def test_what_is_no_thumbnail_of_a_face_is_to_be_cut():
    assert PORTRAITS.reasons == []
    for oddity in ("several", "turned", "off_centre"):
        assert len(Faces(**{**vars(PORTRAITS), oddity: 0.2}).reasons) == 1
    small = Faces(**{**vars(PORTRAITS), "height": 0.1, "found": 0.7})
    assert small.reasons == ["faces are small, 10% of the photograph in the median"]
    assert next(small.lines()).endswith("they are left out")
    drawings = Faces(**{**vars(PORTRAITS), "height": 0.1, "found": 0.1})
    assert drawings.reasons == []


def test_pictures_that_cannot_be_opened_tell_nothing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert faces.look(tmp_path, ["a.jpg"]) is None


@pytest.mark.skipif(not REAL.is_dir(), reason="needs real photographs")
def test_small_faces_of_two_people_are_seen(tmp_path):
    sources = sorted(REAL.iterdir())[:8]
    for place in range(4):
        photo = Image.new("RGB", (800, 600), (90, 110, 130))
        for side, source in enumerate(sources[2 * place : 2 * place + 2]):
            photo.paste(Image.open(source), (80 + 400 * side, 200))
        photo.save(tmp_path / f"{place}.jpg")
    seen = faces.look(tmp_path, [f"{place}.jpg" for place in range(4)])
    assert seen.found == 1.0 and seen.several > 0.5
    assert 0.05 < seen.height < 0.3 and seen.turned == 0.0
    assert seen.off_centre > 0.5 and len(seen.reasons) == 3


def test_thumbnails_of_one_face_each_are_told_from_whole_photographs():
    small = {**vars(PORTRAITS), "height": 0.2}
    assert Faces(**{**small, "side": 240.0}).are_thumbnails
    assert next(Faces(**{**small, "side": 240.0}).lines()).endswith(
        "`fit: face` cuts away what surrounds it"
    )
    for change in ({"side": 1200.0}, {"side": 240.0, "several": 0.5}):
        assert not Faces(**{**small, **change}).are_thumbnails
