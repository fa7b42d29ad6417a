import functools
import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from benchmarks.configs import full, small
from benchmarks.configs import methods as every_method
from benchmarks.report import markdown
from benchmarks.section import Section, Target
from benchmarks.synthetic_table import synthetic_spec, write_table
from fdbpl_jax.errors import UserError
from fdbpl_jax.losses.loss import LossWeights
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.training.loss import losses

torch = pytest.importorskip("torch")
encoders = pytest.importorskip("benchmarks.suites.encoders")
ril_build = pytest.importorskip("benchmarks.suites.ril_build")
ril_io = pytest.importorskip("benchmarks.suites.ril_io")
floor = pytest.importorskip("benchmarks.suites.floor")
memory = pytest.importorskip("benchmarks.suites.memory")
methods = pytest.importorskip("benchmarks.suites.methods")
train = pytest.importorskip("benchmarks.suites.train")
whole_job = pytest.importorskip("benchmarks.suites.whole_job")

IO = {
    "images": 16,
    "regions": 6,
    "classes": 9,
    "keep": (2, 4),
    "epoch_keep": 4,
    "width": 12,
    "records": 10,
    "batch": 8,
    "epochs": 2,
    "workers": 1,
    "repeats": 2,
}
BUILD = {
    "teacher": "tiny",
    "student": "tiny",
    "dtype": "float32",
    "images": 3,
    "regions": 5,
    "classes": 7,
    "height": 60,
    "width": 80,
    "keep": 4,
    "batch_size": 4,
    "workers": 1,
    "repeats": 1,
    "ceiling_size": 128,
}
ENCODERS = {
    "models": ("tiny",),
    "dtypes": ("float32", "bfloat16"),
    "batches": (3,),
    "tokens": 9,
    "calls": 2,
    "repeats": 2,
}
TRAIN = {
    "student": "tiny",
    "teacher": "tiny",
    "classes": (5,),
    "batches": (4,),
    "steps": 2,
    "repeats": 2,
    "once": ("coop+kdpl",),
    "kinds": ("whole", "cut"),
}
WHOLE_JOB = {
    "student": "tiny",
    "teacher": "tiny",
    "classes": 4,
    "shots": 16,
    "epochs": 50,
    "seeds": 3,
    "test_images": 100,
    "images": 4,
    "regions": 4,
    "batch_size": 16,
    "workers": 1,
    "kdpl_steps": 1,
}
MEMORY = {
    "student": "tiny",
    "batch": 8,
    "ours": (5, 40),
    "torch": (5, 10),
    "at": 40,
}
FLOOR = {
    "student": "tiny",
    "classes": (5,),
    "batch": 8,
    "steps": 2,
    "repeats": 2,
    "ceiling_size": 128,
}


def measured(suite, sizes):
    """The section, and the lines that were logged."""
    lines = []
    section = suite.measure(ConfigDict(sizes), lines.append)
    json.dumps(section.data)
    assert section.lines
    assert lines
    return section


@pytest.mark.parametrize("preset", [small, full])
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("ril_io", IO),
        ("ril_build", BUILD),
        ("encoders", ENCODERS),
        ("train", TRAIN),
        ("whole_job", WHOLE_JOB),
        ("memory", MEMORY),
        ("floor", FLOOR),
    ],
)
def test_presets_have_what_the_suites_read(preset, name, sizes):
    assert set(preset.get_config()[name]) == set(sizes)


def test_synthetic_table_reads_as_a_table_does(tmp_path):
    spec = synthetic_spec(images=20, regions=5, classes=9, keep=4, width=6)
    write_table(tmp_path / "table", spec)
    table = open_table(tmp_path / "table")
    found = table.read(list(table.arrays), np.arange(20), np.arange(5))
    prob = found["label_prob"].astype(np.float32)
    assert (np.diff(prob, axis=-1) <= 0).all()
    assert (prob.sum(-1) < 1.001).all()
    index = found["label_index"]
    assert index.max() == 8
    assert (np.diff(np.sort(index, axis=-1), axis=-1) > 0).all()  # all different
    feature = found[f"feature/{table.student}"].astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(feature, axis=-1), 1, atol=2e-3)


def test_reading_suite(tmp_path):
    section = measured(ril_io, IO)
    assert [target.wanted for target in section.targets] == [20, 100]
    assert set(section.data["records"]) == {2, 4}
    names = [timing["name"] for timing in section.data["epochs"]]
    assert names == [
        ril_io.OURS,
        ril_io.OURS_FEATURES,
        ril_io.THEIRS,
        ril_io.THEIRS_LOADER,
    ]
    by_name = {timing["name"]: timing for timing in section.data["epochs"]}
    theirs = min(
        by_name[name]["median"] for name in (ril_io.THEIRS, ril_io.THEIRS_LOADER)
    )
    factor = theirs / by_name[ril_io.OURS]["median"]
    assert section.targets[1].found == pytest.approx(factor)
    for size in section.data["bytes_a_region"].values():
        assert all(count > 0 for count in size.values())


def test_both_forms_hold_whole_records(tmp_path):
    stored = ril_io.write(tmp_path, ConfigDict(IO), keep=4, width=0)
    coords, flip, topk = ril_io.torch_records.read_regions(stored.files, [3, 5], [1, 2])
    assert coords.shape == (2, 4)
    assert flip.shape == (2,)
    assert topk.shape == (2, 2, 4)
    names = set(open_table(stored.table).arrays)
    assert {"box", "flip", "label_index", "label_prob"} <= names


def test_loader_reads_one_region_of_every_image(tmp_path):
    records = ril_io.torch_records
    shape = {"flip": np.zeros(6, bool), "topk": np.zeros((6, 2, 4), np.float32)}
    for image in range(16):
        coords = np.full((6, 4), image, np.float32)
        records.write_records(tmp_path / "one", 1, {"coords": coords, **shape})
        (tmp_path / "one" / "000000.tar").rename(tmp_path / f"{image:06d}.tar")
    batches = list(records.loader(tmp_path, 16, 8, workers=0))
    plain = list(records.epoch(tmp_path, 16, 6, 8, seed=0))
    for found in (batches, plain):
        images = torch.cat([coords[:, 0] for coords, _, _ in found])
        assert sorted(images.tolist()) == list(range(16))


def test_building_suite():
    section = measured(ril_build, BUILD)
    assert not section.targets  # the promise is on a GPU's utilisation
    names = {timing["name"] for timing in section.data["timings"]}
    assert names == {ril_build.OURS, ril_build.OURS_FEATURES, ril_build.THEIRS}
    assert section.data["regions"] == 15
    work = section.data["flops_a_region"]
    assert work[ril_build.OURS_FEATURES] == 2 * work[ril_build.OURS]
    assert all(0 < used < 1 for used in section.data["utilisation"].values())


def test_both_builders_make_the_same_labels(tmp_path):
    sizes = ConfigDict(BUILD)
    root = tmp_path / "images"
    dataset = ril_build.write_pictures(root, 3, (60, 80), 7, seed=0)
    teacher = ril_build.random_clip("tiny", 0, "float32")
    for side in (
        ril_build.our_side("ours", tmp_path, dataset, (teacher, None), sizes),
        ril_build.torch_side(tmp_path, dataset, teacher, sizes),
    ):
        side.run()
    table = open_table(tmp_path / "ours 0")
    names = ["box", "flip", "label_prob"]
    ours = table.read(names, np.arange(3), np.arange(5))
    files = sorted((tmp_path / f"{ril_build.THEIRS} 0").iterdir())
    theirs = [torch.load(file) for file in files]
    np.testing.assert_array_equal(ours["box"], [coords for coords, _, _ in theirs])
    np.testing.assert_array_equal(ours["flip"], [flip for _, flip, _ in theirs])
    prob = np.stack([topk[:, 1] for _, _, topk in theirs])
    np.testing.assert_allclose(ours["label_prob"], prob, atol=3e-4)


def test_encoders_suite():
    section = measured(encoders, ENCODERS)
    found = section.data["measured"]
    assert len(found) == 2 * 2  # dtypes, towers
    assert max(row["apart"] for row in found if row["dtype"] == "float32") < 1e-5
    # Table's rule and head, a line above and an empty one.
    assert len(section.lines) == len(found) + 4


def test_towers_that_disagree_are_not_timed(monkeypatch):
    honest = encoders.torch_clip.encode_image
    monkeypatch.setattr(
        encoders.torch_clip, "encode_image", lambda *args: honest(*args) + 0.01
    )
    with pytest.raises(UserError, match="apart"):
        measured(encoders, ENCODERS)


def test_training_suite():
    section = measured(train, TRAIN)
    (timings,) = section.data.values()
    by_name = {timing["name"]: timing for timing in timings}
    assert len(by_name) == 3 + 3 * 2  # ours, and PyTorch's of both kinds
    ours = by_name["coop+fdbpl, ours"]["median"]
    for target in section.targets:
        method = target.what.split()[3]
        theirs = by_name[f"{method}, PyTorch whole"]["median"]
        assert target.found == pytest.approx(theirs / ours)
    assert len(by_name["coop+kdpl, PyTorch whole"]["wall"]) == 1
    assert len(by_name["coop, ours"]["wall"]) == 2


EVERY = ("cocoop", "vpt", "maple", "promptsrc", "kgcoop", "prograd", "promptkd")


def test_methods_suite():
    sizes = {
        **{"student": "tiny", "teacher": "tiny", "classes": 5, "repeats": 1},
        **{"methods": ("vpt", "kgcoop"), "waiting": ("vpt",)},
        **{"pictures": 8, "epochs": 2},
    }
    assert set(every_method.get_config()["methods"]) == set(sizes)
    section = measured(methods, sizes)
    for target, name in zip(section.targets, sizes["methods"], strict=True):
        ours, theirs = section.data[name]
        assert target.found == pytest.approx(theirs["median"] / ours["median"])
    assert 0 <= section.data["waiting"]["vpt"] <= 1


@pytest.mark.parametrize("name", EVERY)
def test_both_sides_of_a_method_have_one_loss(name):
    """On the same pixels, from the same start: the same work is timed."""
    pair = methods.make_pair("tiny", "tiny", 5)
    batch = METHODS[name].optim.batch_size
    model = methods.torch_method(pair, name)
    expected = model.losses(*methods.torch_batch(pair, name))
    viewing = methods.viewing(pair, name)
    pixels = methods.views(pair, batch)
    host = {"student": pixels, "teacher": pixels}, np.zeros(batch, np.int32)
    teacher_params = pair.teacher_params | {"logit_scale": np.log(100.0)}
    params = pair.student_params, teacher_params
    made = methods.view_batch(viewing, *params, pair.teacher_text, *host)
    setup = methods.given.make_setup(pair.problem, name)
    state = methods.initial_state(pair, name, setup)
    hyper = methods.given.make_hyper(METHODS[name].optim)
    weights = LossWeights(hyper.weights, setup.terms)  # the latter are no arrays
    ours, _ = jax.jit(functools.partial(losses, setup, weights=weights))(
        state.prompts,
        state.running,
        frozen=methods.our_frozen(pair, name),
        batch=jax.tree.map(lambda array: array[0], made),
    )
    # Random towers, and logits times 100: rounding is large.
    np.testing.assert_allclose(ours.loss, expected[0].item(), rtol=2e-3)
    leaves = [*model.parameters()]
    assert sum(leaf.numel() for leaf in leaves if leaf.requires_grad) == sum(
        leaf.size for leaf in jax.tree.leaves(state.prompts)
    )


def test_whole_job_is_the_sum_of_its_parts():
    section = measured(whole_job, WHOLE_JOB)
    part = section.data["parts"]
    # 64 images: KDPL has 2 batches of 32 an epoch, FDBPL's batch is all of them.
    kdpl = 3 * (100 * part["kdpl_step"] + 100 * part["kdpl_test"])
    ours = 64 * 50 * part["region"] + 3 * 50 * part["step"]
    ours += 100 * part["test"] + part["compiling"]
    assert section.targets[0].found == pytest.approx(kdpl / ours)


def test_memory_suite():
    section = measured(memory, MEMORY)
    found = section.data["found"]
    assert set(found) == {"coop+fdbpl", "coop", "torch"}
    assert all(cell["peak"] > 1e7 for side in found.values() for cell in side.values())
    (few, many) = (found["torch"][classes]["peak"] for classes in (5, 10))
    theirs = many + 6 * (many - few)
    ours = found["coop+fdbpl"][40]["peak"]
    assert section.targets[0].found == pytest.approx(theirs / ours)


def test_floor_suite():
    section = measured(floor, FLOOR)
    (found,) = section.data.values()
    assert found["ceiling"] > 1e8
    assert len(found["timings"]) == 2


def test_reports_say_by_how_much_a_target_is_missed():
    facts = {
        "machine": dict.fromkeys(
            ("cpu", "accelerator", "python", "jax", "flax", "torch", "transformers"),
            "x",
        ),
        "command": "the test",
        "load_before": 0,
        "load_after": 0,
    }
    targets = [Target("met", 10, 12.0), Target("missed", 10, 4.0)]
    text = markdown(facts, [Section("A suite", ["a line"], targets, {})])
    assert "| met | 10 | 12 | met |" in text
    assert "| missed | 10 | 4 | missed by a factor of 2.5 |" in text
    nearly = [Target("nearly", 8, 7.9996), Target("just", 8, 8.0)]
    text = markdown(facts, [Section("t", [], nearly, {})])
    assert "| nearly | 8 | 7.9996 | missed by a factor of 1.0001 |" in text
    assert "| just | 8 | 8 | met |" in text
