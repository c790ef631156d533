"""Attribute classifiers: training, evaluation, comparison of arms.

What a command does, a function does without it. These are offered here, each with the class of its
options; nothing is loaded before it is asked for:

    from pathlib import Path

    import classifiers
    import torch

    models = [Path("model.safetensors")]
    options = classifiers.PredictOptions(align=True, tta="flip")
    found = classifiers.predict_files(models, "photos", options, torch.device("cpu"))
    print(found.table)
"""

from importlib import import_module
from typing import Any

# By name, the module that it comes from.
_OFFERED = {
    "CrossvalOptions": "options",
    "EvaluateOptions": "options",
    "FiguresOptions": "options",
    "FilterOptions": "options",
    "PredictOptions": "options",
    "evaluate_mean": "evaluate.mean",
    "evaluate_models": "predict.ensemble",
    "export_model": "models.export",
    "filter_candidates": "evaluate.filter",
    "load_classifier": "models.checkpoint",
    "predict_files": "predict.predict",
    "predict_out_of_fold": "train.crossval",
    "save_classifier": "models.checkpoint",
}

__all__ = list(_OFFERED)


def __getattr__(name: str) -> Any:
    """Return what is offered under a name; its module is loaded now."""
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_OFFERED[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that are offered, and those of modules that were loaded."""
    return sorted({*globals(), *__all__})
