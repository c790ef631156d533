"""Data: from a published layout to splits and packed images.

What a command does, a function does without it. These are offered here, each with the class of its
options; nothing is loaded before it is asked for:

    from pathlib import Path

    import facedata
    import facekit
    import pyarrow

    # Read a data set, here one that is painted; decode each picture once, and pack it.
    index = facedata.ingest_dataset("avatars", Path("photos"), {"num_images": 80}, seed=0).index
    sizes = {"small": facedata.Geometry(height=32, width=32, fit="pad")}
    table, facts = pyarrow.Table.from_pandas(index), Path("inspection.parquet")
    facedata.inspect_images(table, Path("photos"), sizes, 1, Path("images"), facts)

    # Find duplicates, and deal the images to train, val and test so that none is in two of them.
    facts, thumbs = facekit.read_table(facts), facedata.read_thumbs(Path("images/thumbs.npy"))
    options = facedata.DedupOptions()
    pairs = facedata.find_duplicates(index, facts, thumbs, options, [], num_threads=1)
    table = index.assign(cluster=range(len(index)), pixel_hash=facts["pixel_hash"])
    options = facedata.SplitOptions(stratify=["glasses"], folds=2)
    splits = facedata.assign_splits(table, options, seed=0)
    print(len(pairs), splits["split"].value_counts())
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
