from facedata.curation.curate import (
    Findings,
    Review,
    curate,
    dropped,
    read_findings,
    read_review,
    relabel,
    screen,
)
from facedata.curation.labels import find_label_issues
from facedata.duplicates.dedup import find_duplicates
from facedata.ingest.adapters import Ingested
from facedata.ingest.dataset import ingest as ingest_dataset
from facedata.ingest.derived import derive
from facedata.inspection.faces import detect_faces
from facedata.inspection.inspect import inspect as inspect_images
from facedata.options import (
    CheckOptions,
    CurateCommandOptions,
    DedupOptions,
    DeficitsOptions,
    FacesOptions,
    PackOptions,
    SplitOptions,
    Stratify,
)
from facedata.packs.deficits import find_deficits
from facedata.packs.export_zip import export_zip
from facedata.packs.storage import Pack, read_pack, write_pack
from facedata.packs.subset import pack_split
from facedata.splits.check import check as check_splits
from facedata.splits.split import assign_folds, assign_splits
from facekit.pictures.canvas import Geometry
from facekit.storage.arrays import read_images, read_thumbs

__all__ = [
    "CheckOptions",
    "CurateCommandOptions",
    "DedupOptions",
    "DeficitsOptions",
    "FacesOptions",
    "Findings",
    "Geometry",
    "Ingested",
    "Pack",
    "PackOptions",
    "Review",
    "SplitOptions",
    "Stratify",
    "assign_folds",
    "assign_splits",
    "check_splits",
    "curate",
    "derive",
    "detect_faces",
    "dropped",
    "export_zip",
    "find_deficits",
    "find_duplicates",
    "find_label_issues",
    "ingest_dataset",
    "inspect_images",
    "pack_split",
    "read_findings",
    "read_images",
    "read_pack",
    "read_review",
    "read_thumbs",
    "relabel",
    "screen",
    "write_pack",
]
