"""Miniatures of the published layouts, written as their authors hand them out."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from facedata.ingest.adapters.celeba import CELEBA_ATTRIBUTES


def picture(seed, width=24, height=32, kind="PNG"):
    """Return the bytes of a small picture."""
    rng = np.random.default_rng(seed)
    data = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(data, kind)
    return data.getvalue()


def write(path, data=b""):
    """Write text or bytes, with the folders above."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, str):
        data = data.encode()
    path.write_bytes(data)
    return path


def write_zip(path, members):
    """Write an archive of {name: bytes}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def celeba_values(num_images):
    """Return labels in -1 and 1, int [N, 40]."""
    return np.random.default_rng(1).choice([-1, 1], (num_images, len(CELEBA_ATTRIBUTES)))


def write_celeba(root, num_images=6, packed=False, csv=False, drive=False, num_persons=3):
    """Write CelebA: text tables or Kaggle's CSV, images unpacked or packed, flat or in folders.

    Kaggle's images lie one folder deeper. Every `num_persons`-th image is of the same person, a
    multiple of the three splits.
    """
    anno, evaluation, img = ("Anno/", "Eval/", "Img/") if drive else ("", "", "")
    names = [f"{number:06}.jpg" for number in range(1, num_images + 1)]
    values = celeba_values(num_images)
    if csv:
        rows = [",".join([name, *map(str, row)]) for name, row in zip(names, values, strict=True)]
        heading = ",".join(["image_id", *CELEBA_ATTRIBUTES])
        write(root / "list_attr_celeba.csv", "\n".join([heading, *rows]) + "\n")
        rows = [f"{name},{number % 3}" for number, name in enumerate(names)]
        write(root / "list_eval_partition.csv", "\n".join(["image_id,partition", *rows]) + "\n")
    else:
        rows = [
            " ".join([name, *(f"{value:2}" for value in row)]) + " "
            for name, row in zip(names, values, strict=True)
        ]
        heading = " ".join(CELEBA_ATTRIBUTES) + " "
        text = "\r\n".join([str(num_images), heading, *rows]) + "\r\n"
        write(root / f"{anno}list_attr_celeba.txt", text)
        text = "".join(f"{name} {number % 3}\n" for number, name in enumerate(names))
        write(root / f"{evaluation}list_eval_partition.txt", text)
        text = "".join(
            f"{name} {number % num_persons + 100}\n" for number, name in enumerate(names)
        )
        write(root / f"{anno}identity_CelebA.txt", text)
    images = {name: picture(number, kind="JPEG") for number, name in enumerate(names)}
    if packed:
        members = {f"img_align_celeba/{name}": data for name, data in images.items()}
        write_zip(root / f"{img}img_align_celeba.zip", members)
    else:
        folder = "img_align_celeba/img_align_celeba" if csv else f"{img}img_align_celeba"
        for name, data in images.items():
            write(root / folder / name, data)
    return root


PORTRAITS = [
    "0,female,brown,wavy",
    "2,male,black,straight",
    "3,male,n/a,bald",
    "10,female,blond,n/a",
    "2048,male,gray,straight",
    "2050,female,n/a,n/a",
]


def write_tinyportraits(root, packed=False, rows=PORTRAITS):
    """Write Tiny Portraits: images in a folder, or in two archives beside each other."""
    text = "\n".join(["Image_Index,Gender,Hair_Color,Hair_Type", *rows]) + "\n"
    write(root / "Tiny_Portraits_Attributes.csv", text)
    numbers = [int(row.split(",")[0]) for row in rows]
    images = {f"Tiny_Portrait_{number:06}.png": picture(number, 84, 108) for number in numbers}
    if not packed:
        for name, data in images.items():
            write(root / "Tiny_Portraits_Images" / name, data)
        return root
    for part in range(2):
        members = dict(list(images.items())[part::2])
        write_zip(root / f"Tiny_Portraits_Zipfiles/Tiny_Portraits_Archive_{part:03}.zip", members)
    return root


PERSONS = [
    ("000001", "female", "Asian", "45"),
    ("000002", "male", "Asian", "29"),
    ("000004", "male", "Asian", "60"),
    ("001498-1", "female", "Asian", "18"),
]
MASK_PICTURES = ("mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal")


def write_maskbase(root, persons=PERSONS):
    """Write the mask set: seven pictures a person, of different formats."""
    lines = ["id,gender,race,age,path"]
    for seed, person in enumerate(persons):
        folder = "_".join(person)
        lines.append(",".join([*person, folder]))
        suffix = (".jpg", ".jpeg", ".png", ".JPG")[seed % 4]
        for number, stem in enumerate(MASK_PICTURES):
            kind = "PNG" if suffix == ".png" else "JPEG"
            data = picture([seed, number], 24, 32, kind)
            write(root / "images" / folder / f"{stem}{suffix}", data)
    write(root / "train.csv", "\n".join(lines) + "\n")
    return root


def write_stylegan(root, labels, names=None, extra=None):
    """Write an archive with dataset.json; `labels` as there, `names` of the images."""
    if names is None:
        names = [name for name, _ in labels]
    members = {name: picture(number, 16, 16) for number, name in enumerate(names)}
    members["dataset.json"] = json.dumps({"labels": labels} | (extra or {}))
    return write_zip(root / "dataset.zip", members)
