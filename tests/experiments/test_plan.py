"""What `--dry_run` says: what is to be done, and what is there already."""

import logging
import shutil
from pathlib import Path

import pytest
from support.protocol_runs import TASKS, rows_of, small

from fdbpl_jax.data import images
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import plan, probe
from fdbpl_jax.experiments.cells import load_inputs
from fdbpl_jax.experiments.plan import plan_text, time_text
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.shared_inputs import dataset_of, prepare

RATES = probe.Rates(0.5, 0.001, {"coop": 0.1}, {"coop": 7.0})
TESTS = 32 * 60  # images of the few-shot test, each seen by both towers


@pytest.fixture(name="planned")
def _planned(finished, tmp_path, monkeypatch):
    """A plan on the same images, in a work folder of its own, and that folder."""
    monkeypatch.setattr(plan, "probe", lambda *args: RATES)
    (tmp_path / "shapes").symlink_to(finished[0] / "shapes")

    def planned(workdir=tmp_path, **changes):
        config = run_config(small("few_shot", **changes))
        (found,) = plan.plan(config, workdir)
        return found, plan_text(config, [found])

    return planned, tmp_path


def test_a_plan_adds_up(finished, planned):
    changes = {"sweep.shots": (1, 2), "seeds": (1, 2, 3), "ril.regions": 10}
    found, text = planned[0](finished[0], **changes)
    assert (found.classes, found.cells, found.missing) == (32, 6, 2)
    # At most 2 images of each class and seed; the draws of seeds overlap.
    assert 64 < found.table.images <= 3 * 64
    features, table, training = found.seconds
    assert features == 0
    assert table == pytest.approx(0.001 * found.table.images * 10)
    # One seed, 2 epochs of 2 and of 4 steps, compiled for each.
    assert training == pytest.approx(0.1 * 2 * (2 + 4) + 2 * 7.0)
    assert "6, to be run: 2" in text
    assert f"{found.table.images} images x 10 regions" in text


def test_a_plan_counts_no_time_for_what_is_there(finished, planned):
    plan_it, workdir = planned
    done = {"sweep.shots": (1, 2)}
    found, text = plan_it(finished[0], **done)
    assert (found.missing, found.absent, found.table.there) == (0, 0, True)
    assert found.seconds == (0.0, 0.0, 0.0)
    assert "test features there already, table there already, training 0 s" in text
    found, text = plan_it(**done)
    assert (found.missing, found.absent, found.table.there) == (4, 2, False)
    stored = found.table.images * found.table.regions
    assert found.seconds[:2] == (0.5 * TESTS, pytest.approx(0.001 * stored))
    assert "test features 16 min, table " in text
    assert "2 files, to be made: 2" in text
    for name in ("ril", "features"):
        shutil.copytree(finished[0] / name, workdir / name)
    found, _ = plan_it(**done)
    assert (found.missing, found.absent, found.table.there) == (4, 0, True)
    assert found.seconds[:2] == (0.0, 0.0)
    assert found.seconds[2] > 0


def test_a_plan_counts_what_was_lost_of_finished_cells(finished, planned):
    plan_it, workdir = planned
    done = {"sweep.shots": (1, 2)}
    for name in ("ril", "features", "few_shot"):
        shutil.copytree(finished[0] / name, workdir / name)
    for manifest in (workdir / "ril").glob("*/manifest.json"):
        manifest.unlink()
    assert plan_it(**done)[0].seconds[0] == 0
    for kept in list((workdir / "features").iterdir()):
        kept.rename(kept.with_stem(f"no {kept.stem}"))
        found, _ = plan_it(**done)
        if found.absent == 1:
            break
    assert (found.missing, found.absent, found.table.there) == (0, 1, False)
    stored = found.table.images * found.table.regions
    assert found.seconds == (0.5 * TESTS / 2, pytest.approx(0.001 * stored), 0.0)


def test_a_plan_reads_no_image_where_nothing_can_be_there(planned, monkeypatch):
    decoded, decode = [], images.decode_image

    def counted(file, *arguments):
        decoded.append(file)
        return decode(file, *arguments)

    monkeypatch.setattr(images, "decode_image", counted)
    monkeypatch.setattr("fdbpl_jax.data.source_images.content_hash", None)
    (planned[1] / "features").mkdir()
    (planned[1] / "features" / "another.npz").write_bytes(bytes(9999))
    (planned[1] / "ril" / "dtd-0123456789ab").mkdir(parents=True)
    assert planned[0]()[0].absent == 2
    assert len(decoded) == 1  # from which the bytes of a region follow


def test_a_plan_refuses_the_table_that_a_run_refuses(finished, planned):
    plan_it, workdir = planned
    folder = next((finished[0] / "ril").glob(f"{TASKS[0]}-*"))
    assert plan_it(**{"ril.path": str(folder)})[0].table.there
    more = {"ril.path": str(folder), "ril.regions": 99}
    with pytest.raises(UserError, match="does not fit: it was built with reg") as plans:
        plan_it(**more)
    with pytest.raises(UserError) as runs:
        rows_of("few_shot", workdir, **more)
    assert str(runs.value) == str(plans.value)


def test_the_probe_measures_every_part(tmp_path):
    config = run_config(small("few_shot", methods="coop,coop+fdbpl"))
    logging.getLogger("absl").setLevel(logging.WARNING)
    (found,) = plan.plan(config, tmp_path)
    assert found.cells == found.missing == 4
    assert all(part > 0 for part in found.seconds)


def test_the_size_of_a_table_is_known_before_it_is_built(tmp_path):
    changes = {"methods": "coop+fdbpl", "data.shots": 4, "ril.regions": 12}
    config = run_config(small("few_shot", **changes))
    logging.getLogger("absl").setLevel(logging.WARNING)
    (planned,) = plan.plan(config, tmp_path)
    dataset = dataset_of(config, TASKS[0], tmp_path)
    shared = prepare(config, dataset, (), load_inputs(config), tmp_path)
    files = [f for f in Path(shared.table.path).rglob("*") if f.is_file()]
    size = sum(file.stat().st_size for file in files)
    assert planned.table.size == pytest.approx(size, rel=0.05)
    assert f"regions, about {planned.table.size / 1e6:.1f} MB" in plan_text(
        config, [planned]
    )
    (after,) = plan.plan(config, tmp_path)
    assert (after.table.there, after.table.size) == (True, size)
    assert f"regions, {size / 1e6:.1f} MB" in plan_text(config, [after])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99.0, "99 s"), (150.0, "2 min"), (9000.0, "2.5 h")],
)
def test_times_are_as_exact_as_estimates(seconds, text):
    assert time_text(seconds) == text
