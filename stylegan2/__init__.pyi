from facekit.pictures.tiles import tile
from stylegan2.draw.drawing import Keyframes, Mixed, interpolate, keyframes, mix, write_candidates
from stylegan2.draw.photograph import Found as Projected
from stylegan2.draw.photograph import find as project_photograph
from stylegan2.draw.sampling import images as sample_images
from stylegan2.draw.sampling import images_of_styles, truncate
from stylegan2.draw.sampling import styles as sample_styles
from stylegan2.draw.video import write as write_video
from stylegan2.exchange.conversion import convert as pack_images
from stylegan2.exchange.export import save_onnx, save_state_dict
from stylegan2.exchange.official import read_generator as load_official
from stylegan2.metrics.evaluate import compare as measure_generator
from stylegan2.metrics.features import load_extractor
from stylegan2.models.checkpoint import About, load_generator, save_generator
from stylegan2.models.networks import Discriminator, Generator
from stylegan2.options import (
    InterpolateOptions,
    MixOptions,
    PackOptions,
    ProjectOptions,
    SynthOptions,
    TrainOptions,
)
from stylegan2.train.plan import Plan
from stylegan2.train.plan import make as plan_training
from stylegan2.train.session import train as train_generator

__all__ = [
    "About",
    "Discriminator",
    "Generator",
    "InterpolateOptions",
    "Keyframes",
    "MixOptions",
    "Mixed",
    "PackOptions",
    "Plan",
    "ProjectOptions",
    "Projected",
    "SynthOptions",
    "TrainOptions",
    "images_of_styles",
    "interpolate",
    "keyframes",
    "load_extractor",
    "load_generator",
    "load_official",
    "measure_generator",
    "mix",
    "pack_images",
    "plan_training",
    "project_photograph",
    "sample_images",
    "sample_styles",
    "save_generator",
    "save_onnx",
    "save_state_dict",
    "tile",
    "train_generator",
    "truncate",
    "write_candidates",
    "write_video",
]
