"""RandAugment against torchvision's, image by image."""

import pytest
import torch
from batches import SIZE, bytes_of, rng
from torchvision.transforms import v2

from classifiers.augmentations.randaugment import RandAugment


def test_randaugment_is_torchvisions_operation_by_operation():
    images, magnitude = bytes_of(60), 9
    out = RandAugment(num_ops=1, magnitude=magnitude).change(images, rng())
    method, kinds = v2.RandAugment(1, magnitude), set()
    for image, found in zip(images, out, strict=True):
        for name, (strengths, is_signed) in method._AUGMENTATION_SPACE.items():
            strength = strengths(31, *SIZE)
            strength = 0.0 if strength is None else float(strength[magnitude])
            for sign in (1, -1) if is_signed else (1,):
                expected = method._apply_image_or_video_transform(
                    image, name, sign * strength, method.interpolation, method._fill
                )
                if torch.equal(found, expected):
                    kinds.add(name)
                    break
            else:
                continue
            break
        else:
            pytest.fail("none of the operations")
    assert len(kinds) > 9
