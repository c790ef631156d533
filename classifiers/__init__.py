"""Attribute classifiers: training, prediction, evaluation.

What a command does, a function does without it. These are offered here, each with the class of its
options; nothing is loaded before it is asked for:

    from pathlib import Path

    import classifiers
    import torch

    models = [Path("model.safetensors")]
    options = classifiers.PredictOptions(tta="flip")
    found = classifiers.predict_files(models, "photos", options, torch.device("cpu"))
    print(found.table)
"""

from facekit.offering import offer

__getattr__, __dir__, __all__ = offer(__name__)
