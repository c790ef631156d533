"""Sizes that pictures are brought to."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from facekit.options import Count, NotNegative, Options, Pixels, option

Whole = Literal["pad", "crop", "stretch"]  # ways to fit a picture, whatever it shows
Fit = Literal["pad", "crop", "stretch", "face"]
Margin = Annotated[NotNegative, Field(le=2)]
MARGIN, NO_FACE = 0.25, "crop"  # where nothing else is said
OF_FACES = ("margin", "no_face")  # fields that count with `fit: face` alone


class Canvas(Options):
    """A size in pixels, and how pictures of other sizes are fitted into it."""

    height: Count = option(..., "Height.", unit="px")
    width: Count = option(..., "Width.", unit="px")
    fit: Fit = option(
        "pad",
        "Keep the whole picture between black bars (pad, can be undone), fill the size and cut what"
        " sticks out on both sides (crop), ignore the aspect (stretch), or cut away what surrounds"
        " the main face, which is found and turned upright (face).",
    )
    margin: Margin = option(
        MARGIN, "With `fit: face`: what is left on each side of the face, as a share of its width."
    )
    no_face: Whole = option(NO_FACE, "Likewise: how pictures are fitted in which no face is found.")

    @model_validator(mode="after")
    def _of_faces_alone(self) -> Self:
        check_of_faces(self)
        return self

    @model_serializer(mode="wrap")
    def _with_effect(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what does not count: sizes of before faces were cut out read as they did."""
        found = handler(self)
        return {
            name: value
            for name, value in found.items()
            if self.fit == "face" or name not in OF_FACES
        }

    @property
    def without_face(self) -> Self:
        """The same size, as pictures are fitted in which no face is found."""
        if self.fit != "face":
            return self
        return self.but(fit=self.no_face, margin=MARGIN, no_face=NO_FACE)


class Geometry(Canvas):
    """A packed size, and how pictures of other sizes are fitted into it."""

    height: Pixels = option(..., "Height.", unit="px")
    width: Pixels = option(..., "Width.", unit="px")


def check_of_faces(options: Any) -> None:
    """Check that what counts with `fit: face` alone is not said beside another fit.

    Args:
        options: with the fields fit, margin and no_face.

    Raises:
        ValueError: it is; the message begins with the field's name.
    """
    for name, default in zip(OF_FACES, (MARGIN, NO_FACE), strict=True):
        if options.fit != "face" and getattr(options, name) != default:
            raise ValueError(f"{name}: given, but counts with fit: face alone")
