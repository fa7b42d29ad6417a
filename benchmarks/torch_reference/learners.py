"""Every learner in plain PyTorch, with full prompts of 77 tokens.

Learned values are nested dicts of tensors with the names and shapes of ours; kernels
are multiplied from the right.
"""

from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

Tensors = dict[str, Any]


class Texts(NamedTuple):
    """Prompts of C classes: ids and context slots (-1: none) `[C T]`, EOS `[C]`."""

    ids: torch.Tensor
    slot: torch.Tensor
    eos: torch.Tensor


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
      learner: its name.
      towers: frozen.
      learned: the learned values.
      texts: the positions of the context; None where the text is `fixed`.
      fixed: features of the classes, where they are not learned.
      pixels: normalised.
    """
    image = encode_images(towers.image, pixels, _image_prompts(learner, learned))
    if learner == "promptkd":
        image = _project(learned["projector"], image)
    image = functional.normalize(image, dim=-1)
    if fixed is not None:
        return image, fixed
    if learner == "cocoop":
        shift = linear(learned["up"], linear(learned["down"], image).relu())
        contexts = [learned["context"] + own for own in shift]
        each = [encode_texts(towers.text, texts, context) for context in contexts]
        return image, torch.stack(each)
    text = encode_texts(towers.text, texts, learned["context"], learned.get("deep"))
    return image, text


def _image_prompts(learner: str, learned: Tensors) -> torch.Tensor | None:
    if learner != "maple":
        return learned.get("vision")
    couple = learned["couple"]
    by_layer = [learned["context"], *learned["deep"]]
    return torch.stack(
        [
            text @ kernel + bias
            for text, kernel, bias in zip(
                by_layer, couple["kernel"], couple["bias"], strict=True
            )
        ]
    )


def _project(projector: Tensors, x: torch.Tensor) -> torch.Tensor:
    norm = projector["norm"]
    x = linear(projector["first"], x)
    x = functional.batch_norm(x, None, None, norm["scale"], norm["bias"], training=True)
    return linear(projector["second"], x.relu())
