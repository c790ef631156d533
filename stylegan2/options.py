"""Settings of the commands of stylegan2."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from facedata.columns import PACK
from facekit import options as kinds
from facekit.options import AUTO, Choice, Options, OrNone, option, with_parts
from facekit.pictures.canvas import MARGIN, NO_FACE, Fit, Margin, Whole, check_of_faces
from facekit.trackers import TRACKERS
from stylegan2.metrics.extractors import EXTRACTORS
from stylegan2.models import presets
from stylegan2.models.pipes import PIPES
from stylegan2.train.snapshot_metrics import SNAPSHOT_METRICS

# Columns of a pack's table that no attribute can be called like.
PACK_COLUMNS = (*PACK.names, "path", "width", "height", "format", "mode")
MIN_SIDE = 8  # pixels; what the networks begin with

Target = Annotated[float, Field(ge=-1, le=1), kinds.IsNumber]
Psi = Annotated[float, Field(ge=0, le=2), kinds.IsNumber]
OneOrMore = Annotated[float, Field(ge=1), kinds.IsNumber, kinds.NotTooLarge]
FramesPerSecond = Annotated[int, Field(ge=1, le=100), kinds.IsWhole]
# A class may be called none, so that no word stands for no class.
ClassName = Annotated[str, Field(min_length=1), kinds.IsClass] | None
Seeds = Annotated[str, Field(min_length=1), kinds.IsText]
SeedsOrNone = Annotated[Seeds | None, OrNone]


@with_parts(TRACKERS.items())
class TrainOptions(Options):
    """How a generator is trained; `auto` is what the base configuration says."""

    cfg: Annotated[str, Choice(presets.NAMES)] = option(
        AUTO, "Base configuration, from which every `auto` below is taken."
    )
    kimg: kinds.AutoPositive = option(AUTO, "Thousands of real images shown.")
    batch: kinds.AutoCount = option(AUTO, "Images an iteration.")
    batch_gpu: kinds.AutoCount = option(
        AUTO,
        "Images that go through the networks at a time, a round; auto: all, on a CPU half of 32 or"
        " more.",
    )
    processes: kinds.AutoCount = option(
        AUTO,
        "Processes that share the rounds of a batch on a CPU, and its threads, at most; auto: as"
        " many as can.",
        changes_result=False,
    )
    gamma: kinds.AutoNotNegative = option(
        AUTO, "Weight of the R1 penalty; auto follows resolution and batch."
    )
    channel_base: kinds.AutoCount = option(
        AUTO, "Channels at resolution r: min(channel_base / r, channel_max)."
    )
    channel_max: kinds.AutoCount = option(AUTO, "Most channels at any resolution.")
    z_dim: kinds.AutoCount = option(AUTO, "Length of a latent.")
    w_dim: kinds.AutoCount = option(AUTO, "Length of a style.")
    mapping_layers: kinds.AutoCount = option(AUTO, "Layers from z to w.")
    lr: kinds.AutoPositive = option(AUTO, "Learning rate of G and D.")
    warm_up_kimg: kinds.NotNegative = option(
        0.0, "Thousands of images in which the learning rate rises to lr, linearly; 0: none."
    )
    feature_weight: kinds.AutoNotNegative = option(
        AUTO,
        "Weight of a second discriminator, on frozen ImageNet features; 0: none. It needs images of"
        " 32 px or more and brings faces in a fraction of the images.",
    )
    feature_lr: kinds.AutoPositive = option(AUTO, "Learning rate of its heads.")
    class_weight: kinds.AutoNotNegative = option(
        AUTO,
        "Weight of its second task: to tell G how plainly an image shows its class; 0: none.",
    )
    linear_kimg: kinds.AutoNotNegative = option(
        AUTO,
        "Thousands of images, the first of all, in which G imitates faces that principal"
        " components draw, instead of being judged; an image costs a quarter.",
    )
    sketch: kinds.Auto | kinds.NotNegativeCount = option(
        AUTO,
        "Side of small faces, drawn by principal components from the latent, that G paints on; 0:"
        " none. They keep the variety of the real images.",
    )
    rebuild_weight: kinds.AutoNotNegative = option(
        AUTO,
        "Weight of a second task of G, by half of its images: to make real ones of their principal"
        " components; 0: none. It keeps the variety of the real images.",
    )
    pixel_interval: kinds.AutoCount = option(
        AUTO,
        "Iterations from one in which the discriminator of pixels judges, too, to the next; between"
        " them only the one on features does, in half of the time.",
    )
    ema_kimg: kinds.AutoNotNegative = option(
        AUTO, "Half-life of the averaged generator in kimg; auto follows the batch."
    )
    aug: Literal["ada", "fixed", "noaug"] = option(
        "ada", "Augmentation: strength adapted, fixed, or none."
    )
    p: kinds.Share = option(
        0.0,
        "Strength of the augmentation at first, or throughout.",
        alias="--p",
        flag="--aug-p",  # `--p` is the beginning of two options of torchrun's, which refuses it
    )
    target: Target = option(
        0.6,
        "Mean sign of D on real images, -1 to 1, that ada holds; 0.6: of ten, eight are above 0.",
    )
    augpipe: Annotated[str, Choice(PIPES)] = option("bgc", "Kinds of augmentation.")
    ada_kimg: kinds.AutoPositive = option(
        AUTO, "Thousands of images in which p can move by 1; auto: 500, with resume 100."
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = option(
        AUTO, "Numbers of the largest resolutions; auto: fp16 on a GPU, fp32 on a CPU."
    )
    metric: Annotated[Annotated[str, Choice(SNAPSHOT_METRICS)] | None, OrNone] = option(
        None, "Figure that snapshots are measured by; the best one is kept; none: not measured."
    )
    metric_images: kinds.TwoOrMore = option(1000, "Generated images of each measurement.")
    patience: kinds.NotNegativeCount = option(
        0, "Measurements without a better network after which the run ends; 0: never."
    )
    network: Literal["auto", "final", "best"] = option(
        AUTO, "Which one network-chosen.safetensors is; auto: best where there is a metric."
    )
    resume: kinds.TextOrNone = option(
        None,
        "Begin with the weights of this network of `stylegan2 train`, or of this snapshot (.pkl) of"
        " the original; none: with random ones.",
    )
    freezed: kinds.NotNegativeCount = option(
        0, "Layers of the discriminator, from the image on, that are not trained."
    )
    mirror: bool = option(False, "Also show mirror images.")
    class_draw: Literal["natural", "sqrt", "equal"] = option(
        "natural",
        "How often a class is shown and asked for: by its images, their square root, or equally.",
    )
    cond_kimg: kinds.NotNegative = option(
        0.0,
        "Thousands of images over which the class sets in; at first the networks are told the mean"
        " of all classes; 0: from the beginning.",
    )
    class_noise: kinds.NotNegative = option(
        0.0, "Deviation of noise on the labels (one-hot) that the networks are told; 0: none."
    )
    tick_kimg: kinds.Positive = option(4.0, "Thousands of images a report.")
    snap: kinds.Count = option(50, "Ticks a snapshot.")
    keep: kinds.NotNegativeCount = option(
        3, "Snapshots kept, the last ones; 0: all.", changes_result=False
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        batch, own = self.batch, self.batch_gpu
        if isinstance(batch, int) and isinstance(own, int) and batch % own:
            raise ValueError(f"batch_gpu: {own} does not divide batch {batch}")
        if self.metric is None and self.patience:
            raise ValueError(f"patience: {self.patience} measurements, but metric is none")
        if self.metric is None and self.network == "best":
            raise ValueError("network: best is not known, metric is none")
        return self


class MetricsOptions(Options):
    """How generated images are compared with real ones."""

    num_images: kinds.TwoOrMore = option(1000, "Generated images to compare.")
    extractor: Annotated[str, Choice(EXTRACTORS)] = option(
        "efficientnet_lite0",
        "Features to compare; those of inception, and none else, give FID and KID as published.",
    )
    weights: kinds.TextOrNone = option(
        None,
        "File of inception's weights, inception-2015-12-05.pt; none: in torch's hub cache.",
    )
    batch: kinds.Count = option(64, "Images held at a time.", changes_result=False)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.weights is not None and not EXTRACTORS[self.extractor].takes_weights:
            raise ValueError(f"weights: {self.extractor} brings its own; leave it out")
        return self


class SynthOptions(Options):
    """How candidates for the classes that lack images are drawn."""

    oversample: OneOrMore = option(
        2.0, "Candidates drawn for each image that a class lacks; the filter keeps the best."
    )
    trunc: Psi = option(
        0.8, "Truncation psi: 1 keeps all variety, smaller values draw nearer to the mean face."
    )
    batch: kinds.Count = option(64, "Images held at a time.", changes_result=False)


class DrawOptions(Options):
    """What all commands that draw images have."""

    trunc: Psi = option(1.0, "Truncation psi; 1 is none.")
    batch: kinds.Count = option(16, "Images held at a time.", changes_result=False)
    unpad: bool = option(False, "Cut off the padding of the training images.")


class ImageOptions(DrawOptions):
    """What commands that draw single images have."""

    class_name: ClassName = option(
        None, "Name or number of the class; conditional networks need it.", flag="--class"
    )
    noise_mode: Literal["const", "random", "none"] = option(
        "const", "Noise: one for all, the seed's own, or none."
    )


class GenerateOptions(ImageOptions):
    """Which images are drawn, and how they are kept."""

    seeds: SeedsOrNone = option(None, "Such as 0-7,42: an image each.")
    format: Literal["png", "jpg", "npz"] = option(
        "png", "A file an image, or one images.npz with all of them and their seeds."
    )
    grid: bool = option(False, "Also write grid.png with all of them.")


class MixOptions(ImageOptions):
    """Whose styles are mixed."""

    rows: Seeds = option(help="Seeds of the rows, such as 85,100-102.")
    cols: Seeds = option(help="Seeds of the columns.")
    styles: SeedsOrNone = option(
        None,
        "Layers taken from the column, such as 0-6; the first half if not given. Low ones decide"
        " about pose and shape, high ones about colours.",
    )
    col_class: ClassName = option(None, "Class of the columns; that of --class if not given.")


class InterpolateOptions(DrawOptions):
    """The way from seed to seed."""

    seeds: Seeds = option(help="Seeds of the keyframes, such as 0-5.")
    frames: kinds.Count = option(60, "From a keyframe to the next.")
    fps: FramesPerSecond = option(30, "Frames a second.")
    noise_mode: Literal["const", "none"] = option(
        "const", "Noise: the same in all frames, or none."
    )


class ProjectOptions(Options):
    """The search for the styles of a photograph."""

    class_name: ClassName = option(
        None, "Name or number of the class; conditional networks need it.", flag="--class"
    )
    num_steps: kinds.Count = option(1000, "Steps of the search.")


class PackOptions(Options):
    """What becomes of images that are packed."""

    resolution: Annotated[kinds.Count | None, OrNone] = option(
        None, "Pixels a side: 8, 16, 32 ...; that of the images if not given.", unit="px"
    )
    fit: Fit = option(
        "pad",
        "What becomes of images that are not square; face cuts away what surrounds the main face,"
        " which is found and turned upright.",
    )
    margin: Margin = option(
        MARGIN, "With --fit face: what is left on each side of the face, as a share of its width."
    )
    no_face: Whole = option(NO_FACE, "Likewise: how images are fitted in which no face is found.")
    labels: Literal["auto", "folders", "none"] = option(
        AUTO, "auto: those of dataset.json if there is one; folders: an image's first folder."
    )
    attribute: kinds.Text = option("label", "What the classes tell.")
    skip: bool = option(False, "Leave out files that are no usable pictures.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        side = self.resolution
        if side is not None and (side < MIN_SIDE or side & (side - 1)):
            raise ValueError(f"resolution: {side}: networks make squares of 8, 16, 32 ... px")
        if self.attribute in PACK_COLUMNS:
            raise ValueError(f"attribute: a pack has a column {self.attribute}; take another name")
        check_of_faces(self)
        return self
