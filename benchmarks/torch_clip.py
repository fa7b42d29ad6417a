"""A CLIP of `transformers` in PyTorch, with our weights."""

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

from benchmarks.ceiling import CHAIN
from benchmarks.timing import cores
from fdbpl_jax.clip.config import ClipConfig, to_hf_config
from fdbpl_jax.clip.convert import to_hf_tensors


def torch_device() -> torch.device:
    """Return the GPU if PyTorch has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> str:
    """Describe the device."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} (one thread or {cores()}, whichever is faster)"


def load_model(config: ClipConfig, params: dict, device: torch.device) -> CLIPModel:
    """Load the model in float32, frozen, with PyTorch's fused attention."""
    hf = CLIPConfig(**to_hf_config(config), attn_implementation="sdpa")
    model = CLIPModel(hf).eval().requires_grad_(False)
    tensors = to_hf_tensors(params)
    model.load_state_dict(
        {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    )
    return model.to(device)


def encode_image(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """Encode normalised pixels [B 3 H W] to projected features, not normalised."""
    return model.get_image_features(pixel_values=pixels).pooler_output


def encode_text(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    """Encode texts [C T] to projected features, not normalised."""
    return model.get_text_features(input_ids=ids).pooler_output


def wait(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def choose_threads(run: Callable[[], object]) -> int:
    """Set PyTorch to one thread or one per core, whichever is faster for `run`.

    Its threads synchronise after every operation. If other processes use the cores,
    several threads can take ten times as long as one.

    Returns:
      The number of threads.
    """

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        run()
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    best = min((1, cores()), key=seconds)
    torch.set_num_threads(best)
    return best


def matmul_ceiling(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Measure operations per second of large square matrix products; best of five.

    On a CPU this depends on PyTorch's matrix library and on the processor, and explains
    most of the time of PyTorch's towers.
    """
    start, factor = torch.randn(2, size, size, device=device, dtype=dtype).unbind()
    factor = factor / size**0.5
    seconds = []
    for _ in range(6):
        wait(device)
        begin = time.perf_counter()
        product = start
        for _ in range(CHAIN):
            product = product @ factor
        wait(device)
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 * CHAIN / min(seconds[1:])


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Disable TF32 in convolutions; PyTorch does not use it in matrix products."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
