"""The settings of a run and their defaults, as frozen dataclasses.

`experiments/settings.py` makes them of a config file and the command line.
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

    root: str = ""  # folder that holds the data sets; the embedded ones need none
    datasets: tuple[str, ...] = ("shapes-negative",)  # trained on
    targets: tuple[str, ...] = ()  # tested on too, by protocols that transfer
    shots: Count = 16  # training images per class
    template: str = ""  # of own data, "{}" for the class; empty: "a photo of a {}."
    skip_broken_images: bool = False  # leave them out; else they are refused


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """The distribution of regions: torchvision's RandomResizedCrop, then a flip."""

    scale: tuple[Fraction, Fraction] = (0.08, 0.936)  # share of the image's area
    ratio: tuple[Positive, Positive] = (
        3 / 4,
        4 / 3,
    )  # width / height, drawn log-uniformly
    flip: Fraction = 0.5  # probability of mirroring


@dataclasses.dataclass(frozen=True)
class RilConfig:
    """The RIL table a run needs and how it is read."""

    path: str = ""  # a table to use; empty: one in the workdir, built when missing
    regions: CountOrNone = (
        0  # M, stored regions per image; 0: as many as the epochs read
    )
    keep: CountOrNone = (
        0  # K, kept labels per region; 0: the paper's 20, or all if C is less
    )
    label: str = "mr"  # "mr", "ms" or "full": how kept labels become a whole one
    access: str = "slab"  # "slab": a contiguous read per epoch; "random": any regions
    regions_per_epoch: Count = 1  # R, regions read of each image each epoch
    seed: Seed = 0  # of the boxes and flips
    crop: CropConfig = CropConfig()


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """The learnable prompts of the text and the image tower."""

    context_length: CountOrNone = 4  # L, learnable tokens of the text
    init: str = (
        "a photo of a"  # words; empty: random, N(0, 0.02). See `learners/coop.py`
    )
    negative_init: str = "a photo of no"  # all of its tokens are learnable
    class_specific: bool = False  # a context for each class
    position: str = "end"  # of the class name: "end", "middle" or "front"
    text_depth: Count = 1  # layers with a context of their own, at most the tower's
    image_tokens: CountOrNone = 0  # V, learnable tokens beside the patches
    image_depth: Count = 1  # layers with tokens of their own, at most the tower's


@dataclasses.dataclass(frozen=True)
class FdbplConfig:
    """Weights of FDBPL's loss (equations 13, 16 and 17). Chosen in docs/defaults.md."""

    lambda_neg: NotNegative = 1.0
    lambda_diff1: NotNegative = 0.1
    lambda_diff2: NotNegative = 0.1
    alpha: NotNegative = 1.0
    delta: Finite = 0.2
    weight_from: str = "teacher"  # entropy of the full label, or of the "sparse" one


@dataclasses.dataclass(frozen=True)
class TermConfig:
    """Weights of other methods' losses and regularizers, as published."""

    kgcoop: NotNegative = 8.0
    # How much of what is against the hand-written text is removed.
    prograd: NotNegative = 1.0
    promptsrc_text: NotNegative = 25.0
    promptsrc_image: NotNegative = 10.0
    # Centre and deviation of the average of prompts, in epochs; 0: as published for the
    # protocol, see `methods/published.py`.
    promptsrc_mean: NotNegative = 0.0
    promptsrc_std: NotNegative = 0.0
    promptkd: NotNegative = 1000.0


@dataclasses.dataclass(frozen=True)
class NamesConfig:
    """The names that class-agnostic distillation trains on."""

    file: str = ""  # a text file, one name a line
    keep: Annotated[int, Meta(ge=2, le=_MILLION)] = (
        1000  # the most probable ones of each batch
    )


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with momentum, coupled weight decay and a cosine by epochs."""

    epochs: Count = 50
    batch_size: Count = 32
    lr: NotNegative = 0.002
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 5e-4
    warmup_epochs: CountOrNone = 1  # at warmup_lr, constant
    warmup_lr: NotNegative = 1e-5


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Values to try, every combination of them for every seed; empty: the config's own.

    Fields but the last are named as those of the other settings.
    """

    shots: tuple[Count, ...] = ()
    lr: tuple[NotNegative, ...] = ()
    lambda_neg: tuple[NotNegative, ...] = ()
    lambda_diff1: tuple[NotNegative, ...] = ()
    lambda_diff2: tuple[NotNegative, ...] = ()
    alpha: tuple[NotNegative, ...] = ()
    delta: tuple[Finite, ...] = ()
    at_once: Count = 1  # runs (settings and seeds of a method) in one compiled call


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run, checked."""

    protocol: str  # one of `PROTOCOLS`
    name: str  # folder of cells and report in the workdir; empty: the protocol's name
    student: str  # a directory or hub id in Hugging Face layout; empty: the embedded
    teacher: str
    data: DataConfig
    methods: tuple[str, ...]
    seeds: tuple[Seed, ...]
    prompt: tuple[tuple[str, PromptConfig], ...]  # a pair for each of `methods`
    fdbpl: FdbplConfig
    terms: TermConfig
    names: NamesConfig
    ril: RilConfig
    optim: tuple[tuple[str, OptimConfig], ...]  # a pair for each of `methods`
    eval_split: str  # "test"; "val" to choose settings
    checkpoint_epochs: Count
    tensorboard: bool
    platform: str  # "", "cpu", "gpu" or "tpu": refused when JAX runs on another
    sweep: SweepConfig
    dtype: str  # of the towers; "": bfloat16 where the device has it, else float32

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
