"""Every learner in plain PyTorch, with full prompts of 77 tokens.

Learned values are nested dicts of tensors with the names and shapes of ours; kernels
are multiplied from the right.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

Tensors = dict[str, Any]


class Texts(NamedTuple):
    """Prompts of C classes."""

    ids: torch.Tensor  # [C T]
    slot: torch.Tensor  # [C T], of the context; -1: none
    eos: torch.Tensor  # [C]


class Towers(NamedTuple):
    """The student's frozen towers."""

    image: CLIPVisionModelWithProjection
    text: CLIPTextModelWithProjection


def encode_texts(
    tower: CLIPTextModelWithProjection,
    texts: Texts,
    context: torch.Tensor,
    deep: torch.Tensor | None = None,
) -> torch.Tensor:
    """Encode prompts to text features `[C D]`, L2-normalised.

    Args:
      tower: of the text, frozen.
      texts: of the classes.
      context: `[L W]`, of the first layer.
      deep: `[J L W]`, replaces the context's positions in the layers after the first.
    """
    model = tower.text_model
    length = texts.ids.shape[1]
    x = model.embeddings.token_embedding(texts.ids)
    x = _put(x, texts.slot, context)
    x = x + model.embeddings.position_embedding.weight[:length]
    for i, layer in enumerate(model.encoder.layers):
        if deep is not None and 0 < i <= len(deep):
            x = _put(x, texts.slot, deep[i - 1])
        x = layer(x, None, is_causal=True)
    x = model.final_layer_norm(x[torch.arange(len(x)), texts.eos])
    return functional.normalize(tower.text_projection(x), dim=-1)


def _put(x: torch.Tensor, slot: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    if not len(prompt):
        return x
    placed = prompt[slot.clamp(min=0)]
    return torch.where((slot >= 0)[..., None], placed, x)


def encode_images(
    tower: CLIPVisionModelWithProjection,
    pixels: torch.Tensor,
    prompts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Encode images to projected features `[B D]`, not normalised.

    Tokens `[J V w]` go after the patches of the first layers.
    """
    model = tower.vision_model
    x = model.embeddings(pixels)
    own, batch = x.shape[1], len(x)
    if prompts is not None:
        x = torch.cat([x, prompts[0].expand(batch, -1, -1)], dim=1)
    x = model.pre_layrnorm(x)
    for i, layer in enumerate(model.encoder.layers):
        if prompts is not None and 0 < i < len(prompts):
            x = torch.cat([x[:, :own], prompts[i].expand(batch, -1, -1)], dim=1)
        x = layer(x, None)
    return tower.visual_projection(model.post_layernorm(x[:, 0]))


def linear(layer: Tensors, x: torch.Tensor) -> torch.Tensor:
    """Return `x @ kernel + bias`."""
    return x @ layer["kernel"] + layer["bias"]


def features(
    learner: str,
    towers: Towers,
    learned: Tensors,
    texts: Texts | None,
    fixed: torch.Tensor | None,
    pixels: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return L2-normalised features of images `[B D]`, of classes `[C D]` or `[B C D]`.

    Args:
      learner: its name, a key of `LEARNERS`.
      towers: frozen.
      learned: the learned values.
      texts: the positions of the context; None where the text is `fixed`.
      fixed: features of the classes, where they are not learned.
      pixels: normalised.
    """
    reference = LEARNERS[learner]
    image = functional.normalize(reference.images(towers, learned, pixels), dim=-1)
    if fixed is not None:
        return image, fixed
    return image, reference.texts(towers, learned, texts, image)


def _plain_images(
    towers: Towers, learned: Tensors, pixels: torch.Tensor
) -> torch.Tensor:
    return encode_images(towers.image, pixels)


def _prompted_images(
    towers: Towers, learned: Tensors, pixels: torch.Tensor
) -> torch.Tensor:
    return encode_images(towers.image, pixels, learned["vision"])


def _coupled_images(
    towers: Towers, learned: Tensors, pixels: torch.Tensor
) -> torch.Tensor:
    couple = learned["couple"]
    by_layer = [learned["context"], *learned["deep"]]
    tokens = [
        text @ kernel + bias
        for text, kernel, bias in zip(
            by_layer, couple["kernel"], couple["bias"], strict=True
        )
    ]
    return encode_images(towers.image, pixels, torch.stack(tokens))


def _projected_images(
    towers: Towers, learned: Tensors, pixels: torch.Tensor
) -> torch.Tensor:
    projector = learned["projector"]
    norm, x = projector["norm"], _prompted_images(towers, learned, pixels)
    x = linear(projector["first"], x)
    x = functional.batch_norm(x, None, None, norm["scale"], norm["bias"], training=True)
    return linear(projector["second"], x.relu())


def _texts(
    towers: Towers, learned: Tensors, texts: Texts, image: torch.Tensor
) -> torch.Tensor:
    return encode_texts(towers.text, texts, learned["context"], learned.get("deep"))


def _texts_by_image(
    towers: Towers, learned: Tensors, texts: Texts, image: torch.Tensor
) -> torch.Tensor:
    shift = linear(learned["up"], linear(learned["down"], image).relu())
    contexts = [learned["context"] + image_shift for image_shift in shift]
    return torch.stack(
        [encode_texts(towers.text, texts, context) for context in contexts]
    )


class Reference(NamedTuple):
    """A learner in PyTorch."""

    images: Callable[..., torch.Tensor]  # features [B D], not normalised
    texts: Callable[..., torch.Tensor] = _texts  # where they are not fixed


LEARNERS = {
    "coop": Reference(_plain_images),
    "cocoop": Reference(_plain_images, _texts_by_image),
    "vpt": Reference(_prompted_images),
    "maple": Reference(_coupled_images),
    "ivlp": Reference(_prompted_images),
    "promptkd": Reference(_projected_images),
}
