from classifiers.accept.filter import filter_candidates
from classifiers.evaluate.mean import evaluate_mean
from classifiers.models.checkpoint import load_classifier, save_classifier
from classifiers.models.export import export_model
from classifiers.options import (
    CrossvalOptions,
    EvaluateOptions,
    FiguresOptions,
    FilterOptions,
    HeadOptions,
    PredictOptions,
)
from classifiers.predict.ensemble import evaluate_models
from classifiers.predict.of_files import predict_files
from classifiers.train.crossval import predict_out_of_fold

__all__ = [
    "CrossvalOptions",
    "EvaluateOptions",
    "FiguresOptions",
    "FilterOptions",
    "HeadOptions",
    "PredictOptions",
    "evaluate_mean",
    "evaluate_models",
    "export_model",
    "filter_candidates",
    "load_classifier",
    "predict_files",
    "predict_out_of_fold",
    "save_classifier",
]
