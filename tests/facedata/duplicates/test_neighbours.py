"""Near-copies: altered photographs are found with the map between them, other pictures are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from facedata.duplicates import neighbours

SHARED = Path(__file__).parents[4] / "shared" / "data" / "aaf" / "images"
WIDTH, HEIGHT = 80, 100
ALTERED = 40  # pictures altered in each way


def scene(seed: int) -> Image.Image:
    """Draw a picture with structure at all scales, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for side in (3, 6, 12, 24):
        small = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(picture.astype(np.uint8))


def cropped(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Return a part, placed by chance, that lacks a share of each side."""
    width, height = (round(side * (1 - share)) for side in picture.size)
    x, y = rng.integers(0, picture.width - width + 1), rng.integers(0, picture.height - height + 1)
    return picture.crop((x, y, x + width, y + height))


def captioned(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a bar of text over its lower sixth."""
    picture, top = picture.copy(), picture.height * 5 // 6
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, top, *picture.size), fill=tuple(rng.integers(0, 256, 3).tolist()))
    draw.text((4, top + 3), "A CAPTION", fill="white")
    return picture


def recoloured(picture: Image.Image) -> Image.Image:
    data = io.BytesIO()
    picture.convert("L").point(lambda value: value * 0.8 + 20).save(data, "JPEG", quality=60)
    return Image.open(data)


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


# How a picture is altered, and the share of such copies that has to be found.
WAYS = {
    "crop of 5 %": (lambda one, rng: cropped(one, 0.05, rng), 0.95),
    "crop of 10 %": (lambda one, rng: cropped(one, 0.10, rng), 0.9),
    "turn of 3 degrees": (lambda one, rng: one.rotate(rng.choice([-3, 3])), 0.9),
    "caption": (captioned, 0.9),
    "mirror and crop": (lambda one, rng: mirrored(cropped(one, 0.08, rng)), 0.9),
    "other colours": (lambda one, rng: recoloured(one), 1.0),
}


def packed(pictures: list[Image.Image]) -> np.ndarray:
    """Return pictures in gray as thumbnails have them."""
    size = (neighbours.SIDE, neighbours.SIDE)
    return np.stack([np.asarray(one.convert("L").resize(size, 1)) for one in pictures])


@pytest.fixture(scope="module")
def scenes() -> list[Image.Image]:
    return [scene(seed) for seed in range(120)]


@pytest.mark.parametrize("way", WAYS)
def test_altered_copies_are_found_and_nothing_else(scenes, way):
    alter, share = WAYS[way]
    rng = np.random.default_rng(1)
    thumbs = packed([*scenes, *(alter(one, rng) for one in scenes[:ALTERED])])
    pairs = neighbours.near_pairs(thumbs, None, 0.18)
    expected = {(place, len(scenes) + place) for place in range(ALTERED)}
    found = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert found <= expected
    assert len(found) >= share * ALTERED
    assert (pairs.is_mirrored == way.startswith("mirror")).all()


def test_the_warp_says_where_the_copy_shows_what():
    """The middle 80 % of a picture: positions of the whole are 0.8 times those of the part."""
    whole = scene(0)
    part = whole.crop((8, 10, 72, 90))
    pictures = packed([whole, part, *(scene(seed) for seed in range(1, 60))])
    pairs = neighbours.near_pairs(pictures, None, 0.18)
    assert (pairs.a.tolist(), pairs.b.tolist()) == ([0], [1])
    expected = np.array([[0.8, 0, 0], [0, 0.8, 0]])
    np.testing.assert_allclose(pairs.warp[0], expected, atol=0.02)
    np.testing.assert_allclose(pairs.swapped().warp[0, :, :2], np.eye(2) / 0.8, atol=0.04)


def test_copies_among_other_pictures_are_found_from_either_side(scenes):
    """Whichever is the crop of the other, and at any size and in colours."""
    rng = np.random.default_rng(1)
    parts = [cropped(one, 0.1, rng).resize((48, 64)) for one in scenes[:20]]
    parts = np.stack([np.asarray(one) for one in parts])
    whole = np.stack([np.asarray(one) for one in scenes])
    there = neighbours.near_pairs(parts, whole, 0.18)
    back = neighbours.near_pairs(whole, parts, 0.18)
    assert set(zip(there.a, there.b, strict=True)) == {(place, place) for place in range(20)}
    assert there.a.tolist() == back.b.tolist()
    nearest, distance = neighbours.near_copies(parts, whole)
    assert nearest.tolist() == list(range(20))
    assert distance.max() < 0.18


def test_what_resembles_nothing_has_no_nearest_picture(scenes):
    flat = np.full((2, 32, 32), 90, dtype=np.uint8)
    nearest, distance = neighbours.near_copies(flat, packed(scenes[:5]))
    assert (nearest.tolist(), distance.tolist()) == ([-1, -1], [1, 1])
    others = packed([scene(seed) for seed in range(500, 520)])
    assert neighbours.near_copies(others, packed(scenes))[1].min() > 0.3


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_pictures_are_no_trouble(scenes, number):
    assert len(neighbours.near_pairs(packed(scenes)[:number], None, 0.18)) == 0
    assert len(neighbours.near_pairs(packed(scenes), packed(scenes)[:0], 0.18)) == 0


def test_the_result_does_not_depend_on_the_number_of_threads(scenes):
    thumbs = packed([*scenes[:60], *(recoloured(one) for one in scenes[:60])])
    one, three = (neighbours.near_pairs(thumbs, None, 0.18, threads) for threads in (1, 3))
    assert one.a.tolist() == three.a.tolist()
    np.testing.assert_allclose(one.distance, three.distance, atol=1e-5)


def test_many_pictures_are_searched_by_groups_of_alike_ones(monkeypatch):
    """Hardly a copy is missed, nothing else is found, whatever the number of threads."""
    rng = np.random.default_rng(2)
    originals = [scene(seed) for seed in range(1000, 1200)]
    altered = [mirrored(cropped(one, 0.06, rng)) for one in originals[:60]]
    altered += [captioned(one, rng) for one in originals[60:120]]
    thumbs = packed([*originals, *altered])
    all_compared = neighbours.near_pairs(thumbs, None, 0.18)
    monkeypatch.setattr(neighbours, "EXACT", 100)
    one, two = (neighbours.near_pairs(thumbs, None, 0.18, threads) for threads in (1, 2))
    assert one.a.tolist() == two.a.tolist() and one.b.tolist() == two.b.tolist()
    everything, found = (set(zip(pairs.a, pairs.b, strict=True)) for pairs in (all_compared, one))
    assert found <= everything
    assert len(found) >= 0.99 * len(everything) >= 108


def test_copies_have_to_be_nearer_where_all_pictures_look_alike(scenes):
    """One scene with small changes: what differs is no copy, though it is near."""
    rng = np.random.default_rng(0)
    base = packed(scenes[:1])[0].astype(float)
    changes = packed(scenes).astype(float) - 128
    alike = (base + 0.25 * changes).clip(0, 255).astype(np.uint8)
    noisy = (alike[:10] + rng.normal(0, 0.5, (10, 32, 32))).clip(0, 255).astype(np.uint8)
    pairs = neighbours.near_pairs(np.concatenate([alike, noisy]), None, 0.5)
    found = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert found == {(place, len(alike) + place) for place in range(10)}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs real faces")
def test_altered_copies_of_real_faces_are_found_and_hardly_another_pair():
    files = sorted(SHARED.iterdir())[:2000]
    faces = [Image.open(path).convert("RGB") for path in files]
    thumbs = packed(faces)
    twins = neighbours.near_pairs(thumbs, None, 0.18)
    assert len(twins) < 40  # the set has some
    known = set(zip(twins.a.tolist(), twins.b.tolist(), strict=True))
    rng = np.random.default_rng(0)
    for way, (alter, share) in WAYS.items():
        places = np.sort(rng.choice(len(faces), 100, replace=False))
        copies = packed([alter(faces[place], rng) for place in places])
        pairs = neighbours.near_pairs(copies, thumbs, 0.18)
        found = set(zip(places[pairs.a].tolist(), pairs.b.tolist(), strict=True))
        right = {(one, other) for one, other in found if one == other}
        assert len(right) >= share * len(places), way
        others = {tuple(sorted(pair)) for pair in found - right}
        assert len(others - known) <= 1, way
