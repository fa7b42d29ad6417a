"""The embedded student as a model of `open_clip`, which needs a hub for its own."""

import json

import open_clip
import torch
from safetensors.torch import load_file

from fdbpl_jax.shapes import embedded

_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_REST = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "logit_scale": "logit_scale",
}
_NORMS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}


def use_embedded() -> None:
    """Let `open_clip.create_model_and_transforms` give the embedded student."""
    folder = embedded("student")
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    vision, text = config["vision_config"], config["text_config"]
    model = open_clip.CLIP(
        config["projection_dim"],
        {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
        },
        {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
        quick_gelu=vision.get("hidden_act", "quick_gelu") == "quick_gelu",
    )
    model.load_state_dict(_renamed(tensors), strict=True)
    prepare = open_clip.image_transform(vision["image_size"], is_train=False)
    open_clip.create_model_and_transforms = lambda *names: (model, None, prepare)


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {name: tensors[hf] for name, hf in _REST.items()}
    state["text_projection"] = tensors["text_projection.weight"].T
    state["visual.proj"] = tensors["visual_projection.weight"].T
    for part in ("weight", "bias"):
        for name, hf in _NORMS.items():
            state[f"{name}.{part}"] = tensors[f"{hf}.{part}"]
        for tower, hf_tower in (("", "text_model"), ("visual.", "vision_model")):
            layers = [name for name in tensors if name.startswith(f"{hf_tower}.enc")]
            for layer in {name.split(".")[3] for name in layers}:
                block = f"{tower}transformer.resblocks.{layer}"
                hf_block = f"{hf_tower}.encoder.layers.{layer}"
                for name, hf in _BLOCK.items():
                    state[f"{block}.{name}.{part}"] = tensors[f"{hf_block}.{hf}.{part}"]
                state[f"{block}.attn.in_proj_{part}"] = torch.cat(
                    [tensors[f"{hf_block}.self_attn.{x}_proj.{part}"] for x in "qkv"]
                )
    return state
