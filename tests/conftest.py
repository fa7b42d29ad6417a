"""The suite is strict: no rank promotion, no hub, warnings are errors (pyproject)."""

import os
import shutil
import signal
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the suite's time and running next to none: simple code for the
# CPU compiles several times as fast. The commands that tests start inherit this.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
)

import jax
import pytest
from absl import flags

jax.config.update("jax_numpy_rank_promotion", "raise")
# Frozen towers are arguments of compiled functions; a closed-over one would warn here.
jax.config.update("jax_captured_constants_warn_bytes", 1_000_000)
flags.FLAGS.mark_as_parsed()  # Grain reads absl flags


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled():
    """Compiled programs go after a file when they are many, or the process dies.

    On a CPU each takes several memory maps, of which Linux allows a process 65,530 by
    default; past that LLVM crashes. The whole suite compiles about as many.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > 20_000:
        jax.clear_caches()


@pytest.fixture(autouse=True, scope="session")
def _heed_interrupts():
    """In the background of a shell SIGINT is ignored, as commands would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _draw_pictures_once(tmp_path_factory):
    """Each shapes task is drawn once; later work folders have copies of its files."""
    from fdbpl_jax.shapes import dataset

    draw, counts = dataset._render, dataset.PER_CLASS
    pictures = tmp_path_factory.mktemp("pictures")

    def copy_or_draw(name: str, directory: Path) -> None:
        if dataset.PER_CLASS is counts and (pictures / name).is_dir():
            shutil.copytree(pictures / name, directory, dirs_exist_ok=True)
            return
        draw(name, directory)
        if dataset.PER_CLASS is counts:
            shutil.copytree(directory, pictures / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_render", copy_or_draw)
        yield


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real images and the small real CLIP pair; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("FDBPL_SHARED", default))
    if not (path / "data").is_dir():
        pytest.skip("no folder of real data: set FDBPL_SHARED to one")
    return path
