"""A CLIP of `transformers` in PyTorch, with our weights."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

from fdbpl_jax.clip.config import ClipConfig, to_hf_config
from fdbpl_jax.clip.convert import to_hf_tensors


def torch_device() -> torch.device:
    """The GPU if PyTorch has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type}, {torch.get_num_threads()} threads"


def load_model(config: ClipConfig, params: dict, device: torch.device) -> CLIPModel:
    """The model in float32, frozen, with PyTorch's fused attention."""
    hf = CLIPConfig(**to_hf_config(config), attn_implementation="sdpa")
    model = CLIPModel(hf).eval().requires_grad_(False)
    tensors = to_hf_tensors(params)
    model.load_state_dict(
        {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    )
    return model.to(device)


def encode_image(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """Projected features of normalised pixels [B 3 H W], not normalised."""
    return model.get_image_features(pixel_values=pixels).pooler_output


def encode_text(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    """Projected features of texts [C T], not normalised."""
    return model.get_text_features(input_ids=ids).pooler_output


def wait(device: torch.device) -> None:
    """Returns when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """float32 as such: no TF32 in convolutions; in products PyTorch has none anyway."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
