"""Files of a CLIP in Hugging Face layout: located, read, hashed, written."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import safetensors
import safetensors.numpy
from huggingface_hub import errors

from fdbpl_jax.clip.tokenizer import TOKENIZER_FILES
from fdbpl_jax.errors import UserError

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PREPROCESSOR = "preprocessor_config.json"
_CONVERT = (
    "Pickled weights are never loaded. Where PyTorch is installed, run "
    '`python -c "from transformers import CLIPModel; '
    "CLIPModel.from_pretrained('{source}').save_pretrained('DIR')\"`, copy the model's "
    "tokenizer files and preprocessor_config.json to DIR, and point at DIR."
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def locate(source: str) -> Path:
    """Locate a model's directory, or fetch it from the Hugging Face hub.

    Raises:
      UserError: there is no such directory, and the hub has no such model or cannot be
        reached.
    """
    path = Path(os.path.expanduser(source))
    if source and path.is_dir():
        return path
    if path.exists() or not _HUB_ID.fullmatch(source):
        raise UserError(
            f"the model '{source}' is not a directory",
            "Give a directory with config.json and model.safetensors, or a Hugging "
            "Face id such as openai/clip-vit-base-patch16.",
        )
    try:
        return Path(_fetch(source))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"neither this machine nor the Hugging Face hub has a model '{source}' "
            "that you may read",
            "Check the name, log in with `hf auth login` if it is gated, or give the "
            "path of a directory with config.json and model.safetensors.",
        ) from error
    except OSError as error:
        raise UserError(
            f"the model '{source}' is not a directory here, and the Hugging Face hub "
            f"cannot be reached ({type(error).__name__})",
            f"On a machine with network run `hf download {source}`, copy the folder "
            "it prints here, and give its path instead of the id.",
        ) from error


def _fetch(source: str) -> str:
    patterns = [_WEIGHTS, _INDEX, "model-*-of-*.safetensors", "config.json"]
    patterns += [_PREPROCESSOR, "processor_config.json", *TOKENIZER_FILES]
    return huggingface_hub.snapshot_download(source, allow_patterns=patterns)


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
      UserError: the file is missing, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"'{path.parent}' has no {path.name}",
            "Give the directory of a complete model.",
        ) from error
    except ValueError as error:
        raise UserError(
            f"'{path}' is not JSON: {error}", "Get the model's files again."
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"'{path}' holds no JSON object", "Get the model's files again."
        )
    return value


def read_preprocessor(directory: Path) -> dict[str, Any]:
    """Read a model's image settings, from either file that holds them; {} without."""
    if (directory / _PREPROCESSOR).is_file():
        return read_json(directory / _PREPROCESSOR)
    if (directory / "processor_config.json").is_file():
        return read_json(directory / "processor_config.json").get("image_processor", {})
    return {}


def weight_files(directory: Path) -> list[Path]:
    """List the safetensors files of a model: one, or the shards that its index names.

    Raises:
      UserError: there are none, or only pickled ones, or a shard is missing.
    """
    if (directory / _WEIGHTS).is_file():
        return [directory / _WEIGHTS]
    if (directory / _INDEX).is_file():
        names = sorted(
            set(read_json(directory / _INDEX).get("weight_map", {}).values())
        )
        missing = [name for name in names if not (directory / name).is_file()]
        if missing or not names:
            raise UserError(
                f"'{directory}' lacks the weight shards {', '.join(missing) or 'all'} "
                f"that {_INDEX} names",
                "Get the model's files again.",
            )
        return [directory / name for name in names]
    pickled = [p.name for p in directory.glob("pytorch_model*.bin")]
    raise UserError(
        f"'{directory}' has no {_WEIGHTS}"
        + (f", only {pickled[0]}" if pickled else ""),
        _CONVERT.format(source=directory)
        if pickled
        else "Give the directory of a complete model.",
    )


def read_tensors(files: list[Path]) -> dict[str, np.ndarray]:
    """Read all tensors of some safetensors files by name, dtypes as stored.

    Raises:
      UserError: a file is damaged, or two files hold the same tensor.
    """
    tensors: dict[str, np.ndarray] = {}
    for path in files:
        try:
            with safetensors.safe_open(path, framework="np") as file:
                part = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, TypeError, KeyError) as error:
            raise UserError(
                f"'{path}' is not a readable safetensors file: {error}",
                "Get the model's files again.",
            ) from error
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            raise UserError(
                f"'{path}' holds {twice[0]}, which another shard holds too",
                "Get the model's files again.",
            )
        tensors |= part
    return tensors


def fingerprint(directory: Path, weights: list[Path]) -> str:
    """Hash all that a model's features depend on: sha256 in hexadecimal.

    That is the names and bytes of its configuration, weights, tokenizer and image
    settings; the name of the directory and its other files do not matter.
    """
    names = ["config.json", _PREPROCESSOR, "processor_config.json", *TOKENIZER_FILES]
    files = [directory / name for name in names if (directory / name).is_file()]
    digest = hashlib.sha256()
    for path in sorted([*files, *weights]):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def write_model(
    directory: Path,
    jsons: dict[str, dict[str, Any]],
    tensors: dict[str, np.ndarray],
    tokenizer: Path,
) -> None:
    """Write a model's directory atomically.

    Args:
      directory: to create; it must not exist, or be empty.
      jsons: file names and their content.
      tensors: to be `model.safetensors`.
      tokenizer: a directory whose tokenizer files are copied.

    Raises:
      UserError: the directory holds something already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(
            f"'{directory}' exists already", "Choose another, or remove it."
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".clip-", dir=directory.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp's is for the user alone
        for name, content in jsons.items():
            (temporary / name).write_text(json.dumps(content, indent=2) + "\n")
        safetensors.numpy.save_file(tensors, temporary / _WEIGHTS, {"format": "pt"})
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, temporary / name)
        os.replace(temporary, directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
