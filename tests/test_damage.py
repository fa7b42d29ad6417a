"""A campaign of damage: bits flipped, files exchanged, lost and cut, runs killed.

Whatever is done to what a run has written, the next run ends with the same accuracies
(nothing was hurt, or it was made again), or it refuses in one line. It must never end
with other accuracies. `docs/reliability.md` has the counts.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.protocol_runs import small

from fdbpl_jax.data.source_images import _load
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.feature_file import FeatureFile
from fdbpl_jax.experiments.cell_files import read_results, read_settings
from fdbpl_jax.experiments.identity import claim
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.reports.write import read_report
from fdbpl_jax.ril.inspect.verify import verify_table
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.training.checkpoint import Checkpoints, load_prompts

pytestmark = pytest.mark.slow

SAME, MENDED, REFUSED = "unharmed", "mended", "refused"
CHANGES = {
    "methods": "coop,coop+fdbpl",
    "optim.epochs": 4,
    "checkpoint_epochs": 2,
    "ril.regions": 4,
}
FLAGS = [
    "--config=configs/base2new.py",
    "--config.data.datasets=shapes-negative",
    "--config.seeds=1,2",
    "--config.data.shots=2",
    "--config.methods=coop+fdbpl",
    "--config.optim.epochs=30",
    "--config.optim.batch_size=16",
    "--config.checkpoint_epochs=2",
    "--config.ril.regions=6",
]


def accuracies(workdir):
    rows = run(run_config(small("base2new", **CHANGES)), workdir, "the test")
    return [(row.dataset, row.method, row.seeds, row.base_mean, row.hm) for row in rows]


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory):
    """A finished run's folder and accuracies."""
    workdir = tmp_path_factory.mktemp("damage") / "whole"
    return workdir, accuracies(workdir)


@pytest.fixture(scope="module", name="tally")
def _tally():
    """What came of each kind of damage; printed in the end."""
    counts: Counter = Counter()
    yield counts
    for (what, outcome), count in sorted(counts.items()):
        print(f"{what:42} {outcome:9} {count:5}")


def files_of(folder):
    return sorted(f for f in folder.rglob("*") if f.is_file() and f.stat().st_size)


def flip(file, rng):
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def cell_of(workdir, method="coop+fdbpl", seed=1):
    return workdir / "base2new" / "shapes-negative" / method / f"seed{seed}"


def leaves(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def refused(error):
    assert "\n" not in str(error), error
    return REFUSED


def campaign(tally, what, folder, read, flips):
    """Flip a bit of each file so often; what `read` makes of it must be as it was."""
    expected, rng = read(folder), random.Random(what)
    for file in files_of(folder):
        content = file.read_bytes()
        for _ in range(flips):
            flip(file, rng)
            try:
                outcome = SAME if (actual := read(folder)) == expected else MENDED
                # None: it was found out, and is to be made again.
                assert actual in (expected, None), (file, actual)
            except UserError as error:
                outcome = refused(error)
            tally[f"bit flipped in {what}", outcome] += 1
            file.write_bytes(content)
    assert read(folder) == expected


def test_every_file_is_told_from_one_with_a_flipped_bit(whole, tmp_path, tally):
    workdir, _ = whole
    cell = shutil.copytree(cell_of(workdir), tmp_path / "cell")
    settings = read_settings(cell)

    def kept(cell):
        """The results that the next run reads; None: it runs the cell again."""
        results = (cell / "results.jsonl").read_bytes()
        try:
            claim(cell, settings)
            return read_results(cell) if (cell / "results.jsonl").exists() else None
        finally:
            (cell / "results.jsonl").write_bytes(results)

    def prompts(folder):
        actual, facts = load_prompts(folder)
        return leaves(actual), facts

    shutil.rmtree(cell / "checkpoints")
    (cell / "metrics.jsonl").unlink()
    campaign(tally, "the prompts of an export", cell / "export", prompts, 12)
    campaign(tally, "what a finished cell keeps", cell, kept, 8)
    (tmp_path / "report").mkdir()
    shutil.copy(workdir / "base2new" / "report.json", tmp_path / "report")
    campaign(tally, "a report", tmp_path / "report", read_report, 200)
    images = tmp_path / "images"
    shutil.copytree(workdir / "images", images)
    campaign(
        tally,
        "the record of images",
        images,
        lambda folder: _load(next(folder.iterdir())) or None,
        200,
    )
    kept_features = FeatureFile(tmp_path / "features" / "f.npz", "f" * 64)
    values = np.random.default_rng(0).standard_normal((40, 16), np.float32)
    kept_features.write(values)

    def features(_):
        actual = kept_features.read(40)
        return None if actual is None else actual.tobytes()

    campaign(tally, "image features", tmp_path / "features", features, 200)


def test_every_block_of_a_table_is_told_from_a_changed_one(whole, tmp_path, tally):
    table = next((whole[0] / "ril").iterdir())
    copy = shutil.copytree(table, tmp_path / "table")

    def contents(folder):
        verify_table(folder)
        opened = open_table(folder)
        rows = np.arange(len(opened.spec.images))
        slots = np.arange(opened.spec.regions)
        read = opened.read(list(opened.arrays), rows, slots)
        return opened.spec, {name: value.tobytes() for name, value in read.items()}

    campaign(tally, "a table", copy, contents, 6)
    rng, expected = random.Random(0), contents(copy)
    shards = [f for f in files_of(copy) if "/c/" in f.as_posix()]
    for _ in range(150):
        first, other = rng.sample(shards, 2)
        contents_of = first.read_bytes(), other.read_bytes()
        for read in (contents, open_table):
            first.write_bytes(contents_of[1]), other.write_bytes(contents_of[0])
            with pytest.raises(UserError):
                read(copy)
            tally["two shards of a table exchanged", REFUSED] += 1
        first.write_bytes(contents_of[0]), other.write_bytes(contents_of[1])
    assert contents(copy) == expected


def test_every_checkpoint_is_told_from_a_changed_one(tmp_path, tally):
    def state(value):
        key = jax.random.key(value)
        context = jax.random.normal(key, (16, 64))
        return {"context": context, "momentum": -context, "step": jnp.int32(value)}

    checkpoints = Checkpoints(tmp_path, "a cell")
    for epoch in (2, 4):
        checkpoints.save(epoch, state(epoch), Loader(), {"seconds": 1.0, "waited": 0.5})

    def restored(folder):
        """The newest state; None: an earlier one, whole."""
        actual, epoch, _ = Checkpoints(folder, "a cell").restore(state(0), Loader())
        assert leaves(actual) == leaves(state(epoch))
        return leaves(actual) if epoch == 4 else None

    campaign(tally, "a checkpoint", tmp_path, restored, 12)


class Loader:
    """The position of a loader, as Grain's iterators keep it."""

    def __init__(self):
        import grain

        self._iterator = iter(grain.MapDataset.range(100).to_iter_dataset())

    def __getattr__(self, name):
        return getattr(self._iterator, name)


def lose(workdir, *names):
    for name in names:
        path = next(workdir.glob(name))
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def exchange(workdir, first, other):
    first, other = (next(workdir.glob(name)) for name in (first, other))
    between = first.with_name("between")
    first.rename(between)
    other.rename(first)
    between.rename(other)


CELL = "base2new/shapes-negative/coop+fdbpl/seed{}"
ONE, TWO = CELL.format(1), CELL.format(2)
COOP = "base2new/shapes-negative/coop/seed1"
PAIRS = [
    *(
        (f"{ONE}/{n}", f"{TWO}/{n}")
        for n in (
            *("results.jsonl", "rejection.json", "config.json", "export"),
            *("export/prompts", "export/prompts.json", "checkpoints", "checkpoints/4"),
        )
    ),
    (f"{ONE}/checkpoints/2", f"{ONE}/checkpoints/4"),
    (f"{ONE}/checkpoints", f"{COOP}/checkpoints"),
    (ONE, TWO),
    (ONE, COOP),
    *(
        (f"ril/*/{a}/c/0", f"ril/*/{a}/c/1")
        for a in ("box", "flip", "label_index", "label_prob", "entropy", "feature/*")
    ),
    ("ril/*/label_prob", "ril/*/label_index"),
]
RESUMED = ("checkpoints", "checkpoints/4", "config.json", "metrics.jsonl")
LOST = [
    *(f"{ONE}/{name}" for name in ("config.json", "results.jsonl", "rejection.json")),
    *(f"{ONE}/{name}" for name in ("export", "export/prompts.json", "checkpoints/4")),
    *(f"{ONE}/{name}" for name in ("checkpoints", "metrics.jsonl", "export/prompts")),
    *("ril/*/manifest.json", "ril/*/feature/*/manifest.json", "ril/*/box/zarr.json"),
    *("ril/*/entropy/c/0", "ril/*/feature/*/c/1", "ril", "features", "images", ONE),
]


def check_run(tally, what, workdir, expected):
    """Run again: as before, or refused in one line; count what came of it."""
    try:
        actual = accuracies(workdir)
    except UserError as error:
        tally[what, refused(error)] += 1
        return
    assert (actual, results(workdir)) == expected, what
    tally[what, "as before"] += 1


def damages(workdir, finished):
    """Kinds of damage to a copy of a run's folder, each a list of functions of it."""
    rng = random.Random(finished)
    cells = workdir if finished else workdir / TWO / "checkpoints"
    names = [f.relative_to(workdir) for f in files_of(cells) if "shapes" not in f.parts]
    names = [name for name in names if not name.name.startswith("report")]
    kinds = {
        kind: [lambda w, n=n, damage=damage: damage(w / n, rng) for n in chosen]
        for kind, damage in (("a bit flipped", flip), ("a file cut", cut))
        for chosen in [rng.sample(names, 30 if finished else 8)]
    }
    pairs = PAIRS if finished else [(f"{TWO}/{n}", f"{ONE}/{n}") for n in RESUMED]
    lost = LOST if finished else [f"{TWO}/{n}" for n in RESUMED]
    exchanges = [lambda w, pair=pair: exchange(w, *pair) for pair in pairs]
    losses = [lambda w, name=name: lose(w, name) for name in lost]
    return kinds | {"two exchanged": exchanges, "a file or folder lost": losses}


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_after_damage_ends_as_before_or_is_refused(
    whole, tmp_path, tally, finished
):
    """Of finished cells, and of cells whose results are still to be made."""
    workdir, accuracies_of_whole = whole
    expected = accuracies_of_whole, results(workdir)
    when = "finished" if finished else "unfinished"
    for kind, of_kind in damages(workdir, finished).items():
        for number, damage in enumerate(of_kind):
            copy = shutil.copytree(workdir, tmp_path / f"{kind} {number}")
            if not finished:
                lose(copy, f"{TWO}/results.jsonl", f"{COOP}/results.jsonl")
            damage(copy)
            check_run(tally, f"{kind}, in a run {when}", copy, expected)
            shutil.rmtree(copy)


def cut(file, rng):
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def start(workdir):
    command = [sys.executable, "-m", "fdbpl_jax.main", *FLAGS, f"--workdir={workdir}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def results(workdir):
    """Accuracies and prompts of all cells."""
    actual = {}
    for file in sorted(workdir.glob("base2new/*/*/*/results.jsonl")):
        (line,) = read_results(file.parent)
        prompts = leaves(load_prompts(file.parent / "export")[0])
        actual[line.key] = line.base, line.new, prompts
    return actual


def test_a_run_killed_anywhere_ends_as_one_that_was_not(tmp_path, tally):
    begun = time.monotonic()
    output, _ = (process := start(tmp_path / "whole")).communicate()
    assert process.returncode == 0, output
    duration, expected = time.monotonic() - begun, results(tmp_path / "whole")
    assert len(expected) == 2
    rng, workdir = random.Random(0), tmp_path / "killed"
    for kill in range(4):
        process = start(workdir)
        try:
            # The program takes a while to begin; what is written is hit more often.
            process.communicate(timeout=duration * rng.uniform(0.3, 0.8))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            tally["a run killed", "resumed"] += 1
            continue
        assert process.returncode == 0, kill
        assert results(workdir) == expected
        workdir = tmp_path / f"killed after {kill}"
    output, _ = (process := start(workdir)).communicate()
    assert process.returncode == 0, output
    assert results(workdir) == expected
    for metrics in workdir.glob("base2new/*/*/*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
        assert steps == list(range(len(steps)))
