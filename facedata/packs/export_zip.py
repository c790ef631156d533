"""Export a pack as the ZIP archive that StyleGAN tools train on (adapter `stylegan_zip`)."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from facedata.packs.storage import Pack
from facekit.progress import track
from facekit.storage import files

MADE = (1980, 1, 1, 0, 0, 0)  # time of all members: the same pack gives the same bytes


def export_zip(pack: Pack, path: Path) -> None:
    """Write the images of a pack as PNG with their classes, nothing compressed, atomically.

    Args:
        pack: images with their classes.
        path: the archive, with members 00000/img00000000.png ... (1,000 a folder) and dataset.json:
            `labels`, a list of [file, class id] (null without a condition), and for readers that
            care `classes`, the names of the ids, and `content_box` as in `Pack` where there is
            padding.
    """
    labels = []
    class_ids = pack.labels.tolist()
    with files.replacing(path) as part, zipfile.ZipFile(part, "w") as archive:
        for number, image in enumerate(track(pack.images, "export", len(pack.images))):
            name = f"{number // 1000:05}/img{number:08}.png"
            labels.append([name, class_ids[number]])
            data = io.BytesIO()
            Image.fromarray(image).save(data, "PNG", compress_level=0)
            archive.writestr(zipfile.ZipInfo(name, MADE), data.getvalue())
        content: dict[str, Any] = {"labels": labels if pack.classes else None}
        if pack.classes:
            content["classes"] = pack.class_names
        height, width = pack.images.shape[1:3]
        if pack.content_box != (0, 0, width, height):
            content["content_box"] = list(pack.content_box)
        text = json.dumps(content, ensure_ascii=False)
        archive.writestr(zipfile.ZipInfo("dataset.json", MADE), text)
