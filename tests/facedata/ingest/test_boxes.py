"""Boxes around faces: names of columns, texts of four numbers, forms."""

import numpy as np
import pytest

from facedata.ingest import boxes


@pytest.mark.parametrize(
    ("names", "columns", "form"),
    [
        ("x_1 y_1 width height", "x_1 y_1 width height", "size"),  # CelebA
        ("x1 y1 w h blur pose", "x1 y1 w h", "size"),  # WIDER FACE
        ("bbox_x bbox_y bbox_w bbox_h", "bbox_x bbox_y bbox_w bbox_h", "size"),
        ("FaceX FaceY FaceWidth FaceHeight", "FaceX FaceY FaceWidth FaceHeight", "size"),
        ("left top right bottom width height", "left top right bottom", "corners"),
        ("xmin xmax ymin ymax", "xmin ymin xmax ymax", "corners"),
        ("face.x0 face.y0 face.x1 face.y1", "face.x0 face.y0 face.x1 face.y1", "corners"),
        ("x_center y_center width height", "x_center y_center width height", "centre"),
        ("width height x y box_width", "x y box_width height", "size"),
        (
            "bbox_x bbox_y bbox_w bbox_h face_x face_y face_w face_h",
            "face_x face_y face_w face_h",
            "size",
        ),
    ],
)
def test_columns_are_known_by_their_names(names, columns, form):
    assert boxes.named(names.split()) == (tuple(columns.split()), form)


@pytest.mark.parametrize(
    "names",
    [
        "x y age",
        "width height",
        "lefteye_x lefteye_y righteye_x righteye_y",
        "x1 y1 x2 y2 x3 y3",  # points
        "x0 y0 x1 y1 x2 y2",
    ],
)
def test_points_and_sizes_alone_are_no_box(names):
    assert boxes.named(names.split()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12 30 50.5 60", ((12, 30, 50.5, 60), None)),
        (" (12, 30, 50, 60) ", ((12, 30, 50, 60), None)),
        ("[[12, 30, 50, 60]]", ((12, 30, 50, 60), None)),
        ("[[12, 30], [50, 60]]", ((12, 30, 50, 60), "corners")),
        ('{"x": 12, "y": 30, "w": 50, "h": "60"}', ((12, 30, 50, 60), "size")),
        ("{'left': 1, 'top': 2, 'right': 3, 'bottom': 4}", ((1, 2, 3, 4), "corners")),
        ("[[1,2,3,4],[5,6,7,8]]", None),
        ("192.168.0.1", None),
        ("2017-01-02 10:11", None),
        ("1 2 3", None),
        ("1 2 3 1e999", None),
        ('{"x": 12, "y": 30, "w": null, "h": 60}', None),
        ("", None),
    ],
)
def test_texts_of_four_numbers(text, found):
    assert boxes.read(text) == found


def test_each_form_of_a_box_is_the_same_box():
    size = np.array([[10.0, 20, 30, 40]])
    np.testing.assert_array_equal(boxes.to_size(size, "size"), size)
    np.testing.assert_array_equal(boxes.to_size(np.array([[10.0, 20, 40, 60]]), "corners"), size)
    np.testing.assert_array_equal(boxes.to_size(np.array([[25.0, 40, 30, 40]]), "centre"), size)
