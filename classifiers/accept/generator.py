"""Whether a generator learned from the train part of a split, and from nothing else."""

import logging
from collections.abc import Collection
from pathlib import Path

from facedata.splits.ids import digest_of_ids
from facekit.errors import DataError
from facekit.storage import files

log = logging.getLogger(__name__)


def check_generator(images: Path, train_ids: Collection[str], splits: Path) -> None:
    """Check that the network of generated images was shown the train images of a split.

    Args:
        images: generated images (.npy); the .json beside them tells what the network learned from.
        train_ids: of the images of train that have a class, which are those of its pack.
        splits: split of each image, for the message.

    Raises:
        DataError: it was shown others.
    """
    path = images.with_suffix(".json")
    told = files.read_json(path).get("train_ids", [])
    if not told:
        log.warning("%s: does not tell which images the generator learned from", path)
        return
    *before, own = told
    expected = digest_of_ids(train_ids)
    if own != expected:
        raise DataError(
            f"{path}: the generator learned from other images ({own}) than the {len(train_ids)} of"
            f" train with a class in {splits} ({expected}); train it on the pack of these splits"
        )
    if set(before) - {own}:
        log.warning(
            "%s: the generator began with a network that learned from other images (%s); none of"
            " them may be of val or test",
            path,
            ", ".join(before),
        )
