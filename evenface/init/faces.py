"""How faces lie in photographs, told by some: found or not, small, off centre, turned, several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenface.check.findings import OFF_CENTRE
from facedata.inspection import faces
from facedata.options import FacesOptions
from facekit.compute import machine
from facekit.pictures import decode
from facekit.pictures.canvas import Canvas
from facekit.pictures.geometry import fit_images
from facekit.pictures.resample import Pictures

NUM_LOOKED_AT = 24
SIDE = 256  # px; photographs are looked at in a square of it
LOOK = FacesOptions(min_face_share=0.08)
FOUND = 0.8  # share of photographs with a face from which on the others are no portraits
DRAWN = 0.5  # below which they are perhaps drawings
SMALL = 0.4  # height of a face as a share of the photograph's longer side
TURNED = 20.0  # degrees
MANY = 0.1  # share of photographs that is worth a word
THUMBNAIL = 320  # px of the longer side, up to which a picture of one face is no whole photograph


@dataclass(frozen=True)
class Faces:
    """What was found in some photographs.

    Attributes:
        num: photographs looked at.
        found: share of them with a face.
        several: share with several.
        turned: share of faces that are turned by more than TURNED degrees.
        height: median height of the faces, as a share of the photograph's longer side.
        off_centre: share of faces whose centre is far from that of the photograph.
        side: median longer side of the photographs in pixels.
    """

    num: int
    found: float
    several: float
    turned: float
    height: float
    off_centre: float = 0.0
    side: float = float("inf")

    @property
    def are_portraits(self) -> bool:
        """Whether a photograph without a face is the exception."""
        return self.found >= FOUND

    @property
    def single(self) -> float:
        """Share of photographs with one face alone."""
        return max(self.found - self.several, 0.0)

    @property
    def reasons(self) -> list[str]:
        """Why faces should be cut out of the photographs, in words; none for thumbnails."""
        if self.found < DRAWN:
            return []
        found = []
        if self.height < SMALL:
            found.append(f"faces are small, {self.height:.0%} of the photograph in the median")
        if self.off_centre > MANY:
            found.append(f"{self.off_centre:.0%} of the faces are off centre")
        if self.turned > MANY:
            found.append(
                f"{self.turned:.0%} of the faces are turned by more than {TURNED:.0f} degrees"
            )
        if self.several > MANY:
            found.append(f"several faces in {self.several:.0%}")
        return found

    @property
    def are_thumbnails(self) -> bool:
        """Whether they are small pictures of one face each, of which none is to be lost."""
        return self.side <= THUMBNAIL and self.several <= MANY and self.found >= DRAWN

    def lines(self) -> Iterator[str]:
        """Yield what is odd, for people."""
        of = f"of {self.num} photographs looked at"
        if self.found < DRAWN:
            yield f"no face was found in {1 - self.found:.0%} {of}: drawings?"
            return
        if not self.are_portraits:
            fate = "left out" if self.reasons and not self.are_thumbnails else "kept"
            yield f"no face was found in {1 - self.found:.0%} {of}; they are {fate}"
        if self.reasons:
            remedy = "`faces: cut` makes an image of each face"
            if self.are_thumbnails:
                remedy = "`fit: face` cuts away what surrounds it"
            yield f"{', '.join(self.reasons)} {of}: {remedy}"
        if self.several > MANY:
            yield (
                "whose are the labels of a photograph with several faces? `several: list` leaves"
                " it out, `largest` takes the largest face; columns of a table can name the face"
            )


def look(root: Path, paths: Sequence[str]) -> Faces | None:
    """Return how faces lie in some photographs, evenly chosen; None where none can be opened.

    Args:
        root: folder of the data set.
        paths: of the photographs, relative to it.
    """
    canvas = Canvas(height=SIDE, width=SIDE, fit="pad")
    images, boxes, sides = [], [], []
    for path in paths[:: max(len(paths) // NUM_LOOKED_AT, 1)][:NUM_LOOKED_AT]:
        try:
            pixels = decode.decode(decode.read(f"{root}/{path}"), {})
        except decode.Unusable:
            continue
        fitted, box = fit_images(Pictures([pixels]), canvas)
        images.append(fitted[0])
        boxes.append(box)
        sides.append(max(pixels.shape[:2]))
    if not images:
        return None
    device = machine.ready(1, "auto")
    found = faces.detect_faces(np.stack(images), np.arange(len(images)), LOOK, device)
    has_face = ~found["non_face"].to_numpy()
    seen = found[has_face]
    dx, dy = (seen[f"right_eye_{axis}"] - seen[f"left_eye_{axis}"] for axis in "xy")
    left, top, right, bottom = np.array(boxes, dtype=float)[has_face].T
    x = (seen["x0"] + seen["x1"]) / 2 - (left + right) / 2
    y = (seen["y0"] + seen["y1"]) / 2 - (top + bottom) / 2
    away = np.maximum(np.abs(x) / (right - left), np.abs(y) / (bottom - top))
    return Faces(
        num=len(images),
        found=len(seen) / len(images),
        several=float(found["several_faces"].mean()),
        turned=float((np.degrees(np.arctan2(dy, dx)).abs() > TURNED).mean()) if len(seen) else 0.0,
        height=float((seen["y1"] - seen["y0"]).median() / SIDE) if len(seen) else 0.0,
        off_centre=float((away > OFF_CENTRE).mean()) if len(seen) else 0.0,
        side=float(np.median(sides)),
    )
