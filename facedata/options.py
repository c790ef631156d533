"""Settings of the commands of facedata, which are those of the config's sections."""

from typing import Annotated, Literal

from pydantic import Field

from facekit.options import (
    Attribute,
    Attributes,
    BelowOne,
    Count,
    Differ,
    IsClass,
    IsNumber,
    Name,
    NotNegative,
    NotNegativeCount,
    OpenShare,
    Options,
    OrNone,
    PositiveShare,
    Share,
    Text,
    TextOrNone,
    TwoOrMore,
    option,
)
from facekit.pictures.canvas import MARGIN, Geometry, Margin

Keep = Literal["drop", "keep"]
# The detector enlarges pictures until the smallest face has 12 pixels: memory bounds it.
FaceShare = Annotated[float, Field(ge=0.05, le=1), IsNumber]


class InspectOptions(Options):
    """Which sizes images are packed at."""

    geometries: Annotated[dict[Name, Geometry], Field(min_length=1)] = option(
        ...,
        "Sizes to pack, by name: {height, width, fit: pad, crop, stretch or face}; with face also"
        " margin and no_face.",
    )


class CountedFaces(Options):
    """Which of the faces that are found count."""

    min_probability: Share = option(0.9, "A face found with less counts as none.")
    several_share: PositiveShare = option(
        0.4, "Smallest size of what shows of a second face, as a share of the main face's."
    )


class WhichFaces(Options):
    """What an image is: a picture as it is, or a face that is cut out of a photograph."""

    faces: Literal["keep", "cut"] = option(
        "keep",
        "Take pictures as they are (thumbnails), or make an image of each face of whole"
        " photographs: found, turned upright and cut out, all in one framing.",
    )
    several: Literal["list", "largest"] = option(
        "list",
        "Whose the labels of a photograph with several faces are, where a table does not name the"
        " face: nobody's (it is left out and listed), or the largest face's.",
    )


class CutOptions(WhichFaces):
    """Likewise, and how faces are cut."""

    margin: Margin = option(
        MARGIN, "What is cut on each side of a face, as a share of its width; the chin is inside."
    )
    side: Annotated[Count, Field(ge=32, le=1024)] = option(
        256, "Of the square pictures that are cut; no smaller than any geometry.", unit="px"
    )


class IngestOptions(CutOptions, CountedFaces):
    """All that faces are cut by."""


class FacesOptions(CountedFaces):
    """What counts as a face."""

    min_face_share: FaceShare = option(
        0.2,
        "Smallest face looked for, as a share of the picture's height; smaller ones take longer.",
    )
    several_probability: Share = option(
        0.95, "A second face found with this probability makes several."
    )
    batch: Count = option(64, "Pictures at a time.", changes_result=False)


class Tolerance(Options):
    """How far numbers of duplicates may differ."""

    tolerance: dict[str, NotNegative] = option(
        {},
        "By numeric attribute, the difference up to which numbers of duplicates agree, in its own"
        " units, such as {age: 5}; 0 for others.",
    )


class Altered(Options):
    """Which pictures are copies that no hash tells."""

    max_altered_difference: Share = option(
        0.18,
        "Share of a picture's structure that a copy may fail to explain which was cropped, turned,"
        " captioned, or mirrored and cropped; less where all pictures look alike. 0: none are"
        " looked for.",
    )


class DedupOptions(Tolerance, Altered):
    """Which pictures are duplicates, and when their labels agree."""

    max_distance: Annotated[NotNegativeCount, Field(le=32)] = option(
        8,
        "Differing bits of two perceptual hashes up to which the pixels are compared; each 2 more"
        " cost 3 to 5 times the time.",
    )
    max_difference: Share = option(
        0.12, "Share of a picture's structure that its duplicate may fail to explain."
    )


class Policy(Options):
    """What happens to images that a check flagged."""

    non_faces: Keep = option(
        "keep", "Pictures without a face; the detector knows photographs, not cartoons."
    )
    several_faces: Keep = option("keep", "Pictures with more than one face; kept ones are flagged.")
    duplicate_policy: Literal["keep_best", "keep_all"] = option(
        "keep_best",
        "Keep one image of each cluster, of an official test part first, or all of them (in one"
        " split).",
    )
    conflicts: Literal["drop", "majority", "keep"] = option(
        "drop",
        "Clusters whose labels disagree: drop them whole, give them the label that most of them"
        " have (or drop them where none has most), or keep and flag them.",
    )


class CurateOptions(Policy):
    """What happens to images that a check, or a classifier, flagged."""

    label_issues: Literal["report", "drop", "weight"] = option(
        "report",
        "Images of train with a label that is probably wrong: learn from them, leave them out, or"
        " weigh them by its score; val and test keep theirs.",
        flag="--label-policy",
    )
    max_score: Share = option(0.1, "A label issue with a smaller score counts.")


class CheckOptions(Policy, Tolerance):
    """All that the checks of pixels and of duplicates decide by."""


class CurateCommandOptions(CurateOptions, CheckOptions):
    """All that decides which images stay."""


class Stratify(Options):
    """Which classes keep their shares in every part."""

    stratify: Literal["all"] | Attributes = option(
        "all",
        "Attributes whose classes keep their shares in every split and fold, or all with classes.",
    )
    balance: Literal["joint", "each"] = option(
        "joint",
        "Joint classes of these attributes keep their shares, too (joint), or attributes one by"
        " one (each), for more than a few.",
    )


class JudgedFolds(Options):
    """How many models judge labels."""

    folds: Annotated[TwoOrMore, Field(le=20)] = option(
        5, "Each image is judged by a model that was fitted to the other folds."
    )


class ScreenOptions(CheckOptions, Stratify, JudgedFolds):
    """Which images have labels that can be judged, and by how many models."""


class SplitCheckOptions(Stratify):
    """What a split was to keep."""

    official: Literal["keep", "ignore"] = option(
        "keep", "The official split where the data set has one: keep or ignore it."
    )


class SplitCheckCommandOptions(SplitCheckOptions, Altered):
    """What a split was to keep, and what it was to keep together."""


class ScarceOptions(Options):
    """A class of which all but some images of train are held back."""

    attribute: Attribute = option(help="With classes.")
    value: Text = option(help="The class.")
    images: Count = option(100, "Of it that stay in train; whole persons, so that some more may.")


class SplitOptions(SplitCheckOptions):
    """How images are dealt to train, val and test, and train to folds."""

    train: OpenShare = option(0.7, "Share of each class used to fit; val and test halve the rest.")
    folds: Annotated[TwoOrMore, Field(le=100)] = option(
        5, "Parts of train for out-of-fold predictions."
    )
    reserve: BelowOne = option(
        0.0,
        "Share of what would be train that is held back from every training but that of the arm"
        " `withheld`, which gets it in place of synthetic images.",
    )

    anew: bool = option(
        False,
        "Deal all images anew, each time; else those that were dealt before stay where they are,"
        " unless another of these settings or the seed has changed.",
    )
    scarce: Annotated[ScarceOptions | None, OrNone] = option(
        None,
        "A class that is made rare: all but some of its images of train go to the reserve, so that"
        " `withheld` tells what they are worth and what other arms win back of that.",
    )

    @property
    def holds_back(self) -> bool:
        """Whether there is a reserve."""
        return bool(self.reserve or self.scarce)

    @property
    def test(self) -> float:
        """Share of each class in test, and in val."""
        return (1 - self.train) / 2

    @property
    def max_rounds(self) -> int:
        """Rounds whose test parts have nothing in common, as many as there are images for."""
        return int(1 / self.test + 1e-9)


class PackOptions(Options):
    """Which classes a pack has."""

    condition: Attributes = option(
        (), "Attributes whose joint classes the GAN is told; none for an unconditional GAN."
    )


class DoubtsOptions(Options):
    """Which labels probabilities are of."""

    column: TextOrNone = option(None, "Of the labels; `label` by default, or the only one.")
    classes: Annotated[tuple[Annotated[str, IsClass], ...], Differ] = option(
        (), "Classes in the order of the probabilities; by the alphabet where none are given."
    )


class DeficitsOptions(Options):
    """Which classes lack images."""

    minority_below: Share = option(
        0.5,
        "A class with less than this share of the largest class's images is a minority.",
    )


class MatchOptions(Altered):
    """How a set from elsewhere is brought to the classes of the data set."""

    map: dict[Attribute, dict[str, str]] = option(
        {}, "Classes of the set that are called otherwise: {attribute: {theirs: ours}}."
    )
    max_copies: Share = option(
        0.01,
        "Share of its pictures that may be copies of the data set's; these are left out, of more"
        " the set is refused.",
    )


class ReviewOptions(Options):
    """What the page of flagged images holds."""

    max_images: Count = option(
        2000,
        "Pictures of flagged images and of the sample, shared out among the sections; about 4 KB"
        " each.",
    )
    sample: NotNegativeCount = option(60, "Unflagged images drawn by chance, to be looked at too.")
    similar: NotNegativeCount = option(4, "Similar images beside each of these, with their labels.")
    browse: NotNegativeCount = option(
        2000,
        "Small pictures of unflagged images: at most half of them are the similar ones, the others"
        " are of every class as many; about 2 KB each.",
    )
    photographs: NotNegativeCount = option(
        200,
        "Whole photographs on the page with the box of the face, where faces are cut out of them;"
        " 20 to 60 KB each.",
    )
