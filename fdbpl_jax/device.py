"""The device that JAX computes on, and its refusal where another was asked for."""

import platform
from importlib.metadata import version
from pathlib import Path

import jax

from fdbpl_jax.errors import UserError

_EXTRAS = {"gpu": "cuda12", "tpu": "tpu"}
_REPORTED = ("jax", "jaxlib", "flax", "optax", "tensorstore", "grain", "numpy")


def require(wanted: str) -> None:
    """Refuse to compute elsewhere than asked, or in several processes of one job.

    `wanted` is "cpu", "gpu", "tpu", or empty for whatever there is.

    Raises:
      UserError: JAX computes on another platform, as it does, silently, when the
        plugin of an accelerator is missing or broken; or `jax.distributed` is on.
    """
    if jax.process_count() > 1:
        raise UserError(
            f"this is one of {jax.process_count()} processes of a distributed job, and "
            "training is not distributed",
            "Start single processes, and share the cells out with --shard=i/n.",
        )
    backend = jax.default_backend()
    if not wanted or wanted == backend:
        return
    extra = _EXTRAS.get(wanted)
    install = f"Install with `pip install fdbpl-jax[{extra}]`, " if extra else ""
    raise UserError(
        f"config platform is '{wanted}' and JAX computes on '{backend}'",
        f"{install}check the driver and JAX_PLATFORMS, or leave platform empty.",
    )


def is_accelerator() -> bool:
    """Whether JAX computes on a GPU or TPU."""
    return jax.default_backend() != "cpu"


def has_bfloat16() -> bool:
    """Whether the device multiplies bfloat16: a TPU, or NVIDIA's Ampere and later."""
    if jax.default_backend() == "tpu":
        return True
    # Only NVIDIA's devices have a compute capability in numbers.
    capability = getattr(jax.devices()[0], "compute_capability", "")
    major = str(capability).partition(".")[0]
    return major.isdecimal() and int(major) >= 8


def tower_dtype(wanted: str) -> str:
    """The dtype of frozen towers: as asked for, or what the device is fastest in."""
    return wanted or ("bfloat16" if has_bfloat16() else "float32")


def keep_compiled(folder: Path) -> None:
    """Keep compiled programs in `folder`, for this process and later ones.

    A program is found again by all that it was compiled from; what takes less than
    half a second to compile is not worth a file.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def describe() -> str:
    """The devices that compute, in words."""
    devices = jax.devices()
    kind = devices[0].device_kind
    return f"{len(devices)} × {devices[0].platform} ({kind}), {platform.machine()}"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide numbers and speed."""
    python = {"python": platform.python_version()}
    return python | {name: version(name) for name in ("fdbpl-jax", *_REPORTED)}
