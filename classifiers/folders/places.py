"""Where what was made of a folder of photographs lies, beside the model that learned from it."""

from dataclasses import dataclass
from pathlib import Path

DATA = "data"  # folder in that of the model
PACKED = "classifier"  # name of the packed size


@dataclass(frozen=True)
class Places:
    """The files that are made of a folder, as training and evaluation read them."""

    root: Path

    @classmethod
    def of(cls, model_dir: Path) -> "Places":
        """Return the places in the folder of a model."""
        return cls(model_dir / DATA)

    @property
    def images(self) -> Path:
        """The packed images."""
        return self.root / "images" / f"{PACKED}.npy"

    @property
    def inspection(self) -> Path:
        """What was seen of each image."""
        return self.root / "inspection.parquet"

    @property
    def faces(self) -> Path:
        """Where faces lie in some images of train."""
        return self.root / "faces.parquet"

    @property
    def curated(self) -> Path:
        """Labels of those that decoded."""
        return self.root / "curated.parquet"

    @property
    def splits(self) -> Path:
        """Split and fold of each."""
        return self.root / "splits.parquet"

    @property
    def left_out(self) -> Path:
        """What of the folder and its table is not among them."""
        return self.root / "left_out.csv"
