"""The kinds of problems that a check finds: how bad each is, what it means, what to do about it."""

from dataclasses import dataclass
from typing import Literal

from facekit.storage.columns import Column, Table

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
# What makes faces of whole photographs.
CUT = "For training, `ingest: faces: cut` does; `evenface init` writes it where many are so."


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        name: in tables.
        severity: high: learning or measuring goes wrong; medium: have a look; low: good to know.
        title: for people, of one or more photographs.
        meaning: what it is, and by what it was found.
        todo: what to do.
    """

    name: str
    severity: Severity
    title: str
    meaning: str
    todo: str


ALL = (
    Kind(
        "broken", "high", "Broken files",
        "They cannot be read as pictures: cut off, empty, of another format, or too small.",
        "Copy them anew from where they came from, or leave them out.",
    ),
    Kind(
        "missing_file", "high", "Missing files",
        "A row of the table names a photograph that does not lie in the folder.",
        "Mend the name in the table, or add the file.",
    ),
    Kind(
        "leak", "high", "Leaks between splits",
        "Train, val and test hold the same photograph, or the same person: a score on test then"
        " says how well the classifier remembers.",
        "Move all copies of a photograph, and all photographs of a person, into one split.",
    ),
    Kind(
        "label_conflict", "high", "Copies with different labels",
        "Copies of one photograph have labels that contradict each other: one of them is wrong.",
        "Look which label is right, and mend the other.",
    ),
    Kind(
        "doubtful_label", "medium", "Doubtful labels",
        "A quick classifier that did not learn from these photographs is sure of another label."
        " It errs, too, on unusual faces most of all: a doubt is no proof.",
        "Look at each; mend the label where it is wrong, keep the photograph where it is right.",
    ),
    Kind(
        "duplicate", "medium", "Exact copies",
        "The same pixels as another photograph, which is kept. A copy teaches nothing new, and may"
        " lie in test what was learned in train.",
        "Leave them out; `--export` does.",
    ),
    Kind(
        "near_duplicate", "medium", "Near copies",
        "They show the same picture as another photograph: saved anew, resized, recoloured,"
        " mirrored, cropped, turned or captioned.",
        "Keep one of each, or keep all of them in one split.",
    ),
    Kind(
        "blank", "medium", "Blank pictures",
        "They have one colour all over.",
        "Leave them out.",
    ),
    Kind(
        "no_face", "medium", "No face found",
        "The detector (MTCNN) sees no face. It knows photographs, not drawings, and misses"
        " profiles, covered and very small faces.",
        "Leave out what shows no face.",
    ),
    Kind(
        "several_faces", "medium", "Several faces",
        "More than one face: whose label is it?",
        f"Cut the face that the label speaks of. {CUT}",
    ),
    Kind(
        "small_face", "medium", "Small faces",
        "The face covers little of the photograph: a classifier at 128 pixels sees next to"
        " nothing of it.",
        f"Cut the face out with a margin. {CUT}",
    ),
    Kind(
        "blurred", "medium", "Blurred",
        "Next to no fine detail at the size that classifiers see (128 pixels).",
        "Leave out where the attribute cannot be told by eye.",
    ),
    Kind(
        "dark", "medium", "Dark",
        "Even its brightest parts are dark; it is the light that is judged, not the skin.",
        "Brighten, or leave out where the attribute cannot be told by eye.",
    ),
    Kind(
        "over_exposed", "medium", "Over-exposed",
        "A large part of the face (without a face: of the middle) is plain white.",
        "Leave out where the attribute cannot be told by eye.",
    ),
    Kind(
        "no_label", "low", "Without a label",
        "Nothing says of which class they are.",
        "Label them, or let them be: a missing label is never taken for a class.",
    ),
    Kind(
        "rare_class", "low", "Rare classes",
        "Few photographs of a class: it is learned badly, and its figures on test are uncertain.",
        "Collect more, or see whether synthetic faces help: `evenface init`, then `evenface run`.",
    ),
    Kind(
        "off_centre", "low", "Face off centre",
        "The face lies at the edge of the photograph, or is cut by it.",
        f"Cut the face out with a margin. {CUT}",
    ),
    Kind(
        "turned", "low", "Turned",
        "The line between the eyes is far from level.",
        f"Turn the photograph. {CUT}",
    ),
    Kind(
        "odd_shape", "low", "Odd shape",
        "Much wider or taller than the others: squeezed or padded, it looks unlike them.",
        "Crop it to the shape of the others.",
    ),
    Kind(
        "few_pixels", "low", "Few pixels",
        "Much smaller than the others; enlarged, it looks blurred.",
        "Find the original, or leave it out.",
    ),
    Kind(
        "outlier", "low", "Unlike all others",
        "By features of an ImageNet network it has no neighbours among the others.",
        "See whether it belongs to the set.",
    ),
)  # fmt: skip
OF_FACES = frozenset({"no_face", "several_faces", "small_face", "off_centre", "turned"})
OF_LABELS = frozenset(
    {"label_conflict", "doubtful_label", "no_label", "rare_class", "missing_file"}
)
OF_SPLITS = frozenset({"leak"})
BY_NAME = {kind.name: kind for kind in ALL}

CHECK = Table(
    "check.csv",
    "evenface check",
    "A problem of a photograph, by kind, the most telling first.",
    (
        Column("file", "str", "below the folder; NA: of no single photograph"),
        Column("problem", "str", "its kind", tuple(BY_NAME)),
        Column("detail", "str", "more about it, in words"),
        Column("severity", "str", "how bad that is", SEVERITIES),
    ),
)
BROKEN = {
    "missing_file": "no such file",
    "unreadable_file": "the system does not let it be read",
    "empty_file": "an empty file",
    "too_large": "too large (64 million pixels, 400 MB)",
    "too_small": "fewer than 16 pixels a side",
    "too_narrow": "more than 16 times as long as wide",
    "not_an_image": "not a picture of a format that is read",
    "truncated": "cut off: the end of the file is missing",
}
