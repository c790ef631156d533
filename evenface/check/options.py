"""Settings of `evenface check`."""

from facedata.options import DeficitsOptions
from facekit.options import Options, PositiveShare, Share, option


class PhotographsOptions(Options):
    """What is looked for in a folder of photographs, and what counts as a problem."""

    faces: bool = option(True, "Look for faces; it takes most of the time.")
    found_labels: bool = option(
        True,
        "Where no table is given: folders named as classes, or a table that lies beside the"
        " photographs, tell labels.",
    )
    small_face: PositiveShare = option(
        0.25, "A face of less than this share of the photograph's shorter side is small."
    )
    rare_class: Share = option(
        DeficitsOptions().minority_below,
        "A class with less than this share of the largest class's photographs is rare.",
    )
