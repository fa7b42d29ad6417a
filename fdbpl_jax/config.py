"""The settings of a run and their defaults, as frozen dataclasses.

`experiments/settings.py` makes them of a config file and the command line. The text in
a setting's type is what `--help` and docs/settings.md say of it.
"""

import dataclasses
from typing import Annotated

from msgspec import Meta

_MILLION = 1_000_000
# Bounds of values, checked where settings are made; NaN and infinity are in none.
Count = Annotated[int, Meta(ge=1, le=_MILLION)]
CountOrNone = Annotated[int, Meta(ge=0, le=_MILLION)]  # 0 has a meaning of its own
Processes = Annotated[int, Meta(ge=1, le=1024)]
Threads = Annotated[int, Meta(ge=0, le=1024)]  # 0: as many as there are processors
Seed = Annotated[int, Meta(ge=0, lt=2**31)]
NotNegative = Annotated[float, Meta(ge=0, le=_MILLION)]
Positive = Annotated[float, Meta(gt=0, le=_MILLION)]
Finite = Annotated[float, Meta(ge=-_MILLION, le=_MILLION)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how many of them are trained on."""

    root: Annotated[str, "folder that holds the data sets; embedded ones need none"] = (
        ""
    )
    datasets: Annotated[
        tuple[str, ...], "data sets that are trained on, with commas"
    ] = ("shapes-negative",)
    targets: Annotated[
        tuple[str, ...], "data sets tested on too, by protocols that transfer"
    ] = ()
    shots: Annotated[Count, "training images per class"] = 16
    template: Annotated[
        str, "of own data, {} for the class; empty: a photo of a {}."
    ] = ""
    skip_broken_images: Annotated[bool, "leave them out; else they are refused"] = False


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """The distribution of regions: torchvision's RandomResizedCrop, then a flip."""

    scale: Annotated[tuple[Fraction, Fraction], "share of the image's area"] = (
        0.08,
        0.936,
    )
    ratio: Annotated[
        tuple[Positive, Positive], "width / height, drawn log-uniformly"
    ] = (3 / 4, 4 / 3)
    flip: Annotated[Fraction, "probability of mirroring"] = 0.5


@dataclasses.dataclass(frozen=True)
class RilConfig:
    """The RIL table that a run needs and how it is read."""

    path: Annotated[
        str, "a table to use; empty: one in the workdir, built when missing"
    ] = ""
    regions: Annotated[
        CountOrNone, "M, stored regions per image; 0: as many as the epochs read"
    ] = 0
    keep: Annotated[
        CountOrNone, "K, kept labels per region; 0: 20, or all if there are fewer"
    ] = 0
    label: Annotated[str, "how kept labels become a full one: mr, ms or full"] = "mr"
    access: Annotated[str, "slab: a contiguous read per epoch; random: any regions"] = (
        "slab"
    )
    regions_per_epoch: Annotated[Count, "R, regions of each image per epoch"] = 1
    seed: Annotated[Seed, "of the boxes and flips"] = 0
    crop: CropConfig = CropConfig()


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """The learnable prompts of the text and the image tower."""

    context_length: Annotated[CountOrNone, "L, learnable tokens of the text"] = 4
    # See `learners/coop.py`.
    init: Annotated[str, "words to start from; empty: random, N(0, 0.02)"] = (
        "a photo of a"
    )
    negative_init: Annotated[
        str, "words of the negative prompt; all of its tokens are learned"
    ] = "a photo of no"
    class_specific: Annotated[bool, "a context for each class"] = False
    position: Annotated[str, "of the class name: end, middle or front"] = "end"
    text_depth: Annotated[Count, "text layers with a context of their own"] = 1
    image_tokens: Annotated[CountOrNone, "V, learnable tokens beside the patches"] = 0
    image_depth: Annotated[Count, "image layers with tokens of their own"] = 1


@dataclasses.dataclass(frozen=True)
class FdbplConfig:
    """Weights of FDBPL's loss (equations 13, 16 and 17). Chosen in docs/defaults.md."""

    lambda_neg: Annotated[NotNegative, "weight of the negative loss, equation 10"] = 1.0
    lambda_diff1: Annotated[
        NotNegative, "weight of the first-order difference, equation 13"
    ] = 0.1
    lambda_diff2: Annotated[
        NotNegative, "weight of the second-order difference, equation 16"
    ] = 0.1
    alpha: Annotated[NotNegative, "α of equation 13"] = 1.0
    delta: Annotated[Finite, "δ of equation 16, the margin"] = 0.2
    weight_from: Annotated[
        str, "entropy of the teacher's full label, or of the sparse one"
    ] = "teacher"


@dataclasses.dataclass(frozen=True)
class TermConfig:
    """Weights of other methods' losses and regularizers, as published."""

    kgcoop: Annotated[NotNegative, "weight of KgCoOp's distance to written text"] = 8.0
    prograd: Annotated[
        NotNegative, "share removed of what is against the written text"
    ] = 1.0
    promptsrc_text: Annotated[NotNegative, "weight of PromptSRC's text term"] = 25.0
    promptsrc_image: Annotated[NotNegative, "weight of PromptSRC's image term"] = 10.0
    # 0: see `methods/published.py`.
    promptsrc_mean: Annotated[
        NotNegative, "centre of PromptSRC's average, in epochs; 0: as published"
    ] = 0.0
    promptsrc_std: Annotated[
        NotNegative, "its standard deviation, in epochs; 0: as published"
    ] = 0.0
    promptkd: Annotated[NotNegative, "weight of PromptKD's loss"] = 1000.0


@dataclasses.dataclass(frozen=True)
class NamesConfig:
    """The names that class-agnostic distillation trains on."""

    file: Annotated[str, "a text file with one name per line"] = ""
    keep: Annotated[
        int, Meta(ge=2, le=_MILLION), "the most probable names kept in each batch"
    ] = 1000


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with momentum, coupled weight decay and a cosine by epochs."""

    epochs: Annotated[Count, "passes over the training images"] = 50
    batch_size: Annotated[Count, "regions or images per update"] = 32
    lr: Annotated[NotNegative, "learning rate at the start of the cosine"] = 0.002
    momentum: Annotated[Fraction, "of SGD"] = 0.9
    weight_decay: Annotated[NotNegative, "added to the gradient"] = 5e-4
    warmup_epochs: Annotated[CountOrNone, "first epochs at warmup_lr, constant"] = 1
    warmup_lr: Annotated[NotNegative, "learning rate of these epochs"] = 1e-5


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Values to try, every combination of them for every seed; empty: the config's own.

    Fields but the last are named as those of the other settings.
    """

    shots: Annotated[tuple[Count, ...], "values of data.shots"] = ()
    lr: Annotated[tuple[NotNegative, ...], "values of optim.lr"] = ()
    lambda_neg: Annotated[tuple[NotNegative, ...], "values of fdbpl.lambda_neg"] = ()
    lambda_diff1: Annotated[tuple[NotNegative, ...], "of fdbpl.lambda_diff1"] = ()
    lambda_diff2: Annotated[tuple[NotNegative, ...], "of fdbpl.lambda_diff2"] = ()
    alpha: Annotated[tuple[NotNegative, ...], "of fdbpl.alpha"] = ()
    delta: Annotated[tuple[Finite, ...], "of fdbpl.delta"] = ()
    at_once: Annotated[Count, "runs of a method in one compiled call"] = 1


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run, checked."""

    protocol: Annotated[
        str, "base2new, few_shot, cross_dataset or domain_generalization"
    ]
    name: Annotated[
        str, "folder of cells and report in the workdir; empty: the protocol's name"
    ]
    student: Annotated[str, "directory or hub id of a CLIP; empty: the embedded one"]
    teacher: Annotated[str, "directory or hub id of the CLIP that labels"]
    data: DataConfig
    methods: Annotated[tuple[str, ...], "methods to run, with commas: `fdbpl methods`"]
    seeds: Annotated[tuple[Seed, ...], "repetitions; each draws its training images"]
    prompt: tuple[tuple[str, PromptConfig], ...]  # a pair for each of `methods`
    fdbpl: FdbplConfig
    terms: TermConfig
    names: NamesConfig
    ril: RilConfig
    optim: tuple[tuple[str, OptimConfig], ...]  # a pair for each of `methods`
    eval_split: Annotated[str, "test; val to choose settings"]
    checkpoint_epochs: Annotated[Count, "epochs between checkpoints"]
    tensorboard: Annotated[bool, "write its event files, too"]
    platform: Annotated[str, "cpu, gpu or tpu: refused when JAX runs on another"]
    sweep: SweepConfig
    dtype: Annotated[
        str, "of the towers; empty: bfloat16 where the device has it, else float32"
    ]

    @property
    def folder(self) -> str:
        """Folder of cells and report, under the workdir."""
        return self.name or self.protocol

    def optim_of(self, method: str) -> OptimConfig:
        """The optimiser settings of one of `methods`."""
        return dict(self.optim)[method]

    def prompt_of(self, method: str) -> PromptConfig:
        """What is learnable in one of `methods`."""
        return dict(self.prompt)[method]
