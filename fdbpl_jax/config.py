"""The settings of a run and their defaults, as frozen dataclasses.

`experiments/settings.py` makes them of a config file and the command line.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how many of them are trained on."""

    root: str = ""  # folder that holds the data sets; the embedded ones need none
    datasets: tuple[str, ...] = ("shapes-negative",)  # trained on
    targets: tuple[str, ...] = ()  # tested on too, by protocols that transfer
    shots: int = 16  # training images per class
    template: str = ""  # of own data, "{}" for the class; empty: "a photo of a {}."
    skip_broken_images: bool = False  # leave them out; else they are refused


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """The distribution of regions: torchvision's RandomResizedCrop, then a flip."""

    scale: tuple[float, float] = (0.08, 0.936)  # share of the image's area
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width / height, drawn log-uniformly
    flip: float = 0.5  # probability of mirroring


@dataclasses.dataclass(frozen=True)
class RilConfig:
    """The RIL table a run needs and how it is read."""

    path: str = ""  # a table to use; empty: one in the workdir, built when missing
    regions: int = 0  # M, stored regions per image; 0: as many as the epochs read
    keep: int = 0  # K, kept labels per region; 0: the paper's 20, or all if C is less
    label: str = "mr"  # "mr", "ms" or "full": how kept labels become a whole one
    access: str = "slab"  # "slab": a contiguous read per epoch; "random": any regions
    regions_per_epoch: int = 1  # R, regions read of each image each epoch
    seed: int = 0  # of the boxes and flips
    crop: CropConfig = CropConfig()


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """The learnable prompts of the text and the image tower."""

    context_length: int = 4  # L, learnable tokens of the text
    init: str = (
        "a photo of a"  # words; empty: random, N(0, 0.02). See `learners/coop.py`
    )
    negative_init: str = "a photo of no"  # all of its tokens are learnable
    class_specific: bool = False  # a context for each class
    position: str = "end"  # of the class name: "end", "middle" or "front"
    text_depth: int = 1  # layers with a context of their own, at most the tower's
    image_tokens: int = 0  # V, learnable tokens beside the patches
    image_depth: int = 1  # layers with tokens of their own, at most the tower's


@dataclasses.dataclass(frozen=True)
class FdbplConfig:
    """Weights of FDBPL's loss (equations 13, 16 and 17). Chosen in docs/defaults.md."""

    lambda_neg: float = 1.0
    lambda_diff1: float = 0.1
    lambda_diff2: float = 0.1
    alpha: float = 1.0
    delta: float = 0.2
    weight_from: str = "teacher"  # entropy of the full label, or of the "sparse" one


@dataclasses.dataclass(frozen=True)
class TermConfig:
    """Weights of other methods' losses and regularizers, as published."""

    kgcoop: float = 8.0
    prograd: float = 1.0  # how much of what is against the hand-written text is removed
    promptsrc_text: float = 25.0
    promptsrc_image: float = 10.0
    # Centre and deviation of the average of prompts, in epochs; 0: as published for the
    # protocol, see `methods/published.py`.
    promptsrc_mean: float = 0.0
    promptsrc_std: float = 0.0
    promptkd: float = 1000.0


@dataclasses.dataclass(frozen=True)
class NamesConfig:
    """The names that class-agnostic distillation trains on."""

    file: str = ""  # a text file, one name a line
    keep: int = 1000  # the most probable ones of each batch


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with momentum, coupled weight decay and a cosine by epochs."""

    epochs: int = 50
    batch_size: int = 32
    lr: float = 0.002
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 1  # at warmup_lr, constant
    warmup_lr: float = 1e-5


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Values to try, every combination of them for every seed; empty: the config's own.

    Fields but the last are named as those of the other settings.
    """

    shots: tuple[int, ...] = ()
    lr: tuple[float, ...] = ()
    lambda_neg: tuple[float, ...] = ()
    lambda_diff1: tuple[float, ...] = ()
    lambda_diff2: tuple[float, ...] = ()
    alpha: tuple[float, ...] = ()
    delta: tuple[float, ...] = ()
    at_once: int = 1  # runs (settings and seeds of a method) in one compiled call


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run, checked."""

    protocol: str  # one of `PROTOCOLS`
    name: str  # folder of cells and report in the workdir; empty: the protocol's name
    student: str  # a directory or hub id in Hugging Face layout; empty: the embedded
    teacher: str
    data: DataConfig
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    prompt: tuple[tuple[str, PromptConfig], ...]  # a pair for each of `methods`
    fdbpl: FdbplConfig
    terms: TermConfig
    names: NamesConfig
    ril: RilConfig
    optim: tuple[tuple[str, OptimConfig], ...]  # a pair for each of `methods`
    eval_split: str  # "test"; "val" to choose settings
    checkpoint_epochs: int
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
