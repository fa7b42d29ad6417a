import numpy as np
import pytest

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.ril.build import ensure_table, plan_spec
from fdbpl_jax.ril.inspect.show import describe
from fdbpl_jax.ril.inspect.verify import verify_table


@pytest.fixture(scope="module")
def real(shared_dir, tmp_path_factory):
    student = load_clip(str(shared_dir / "models" / "tiny-clip-student"))
    teacher = load_clip(str(shared_dir / "models" / "tiny-clip-teacher"))
    dataset = subset(few_shot(load_dataset("dtd", shared_dir / "data"), 2, 1), "base")
    spec = plan_spec(dataset, teacher, student, RilConfig(), 8)
    path = tmp_path_factory.mktemp("real") / "table"
    table, _ = ensure_table(path, spec, dataset.root, teacher, student)
    return dataset, path, table, teacher, student


def test_a_teacher_that_knows_the_classes_says_so(real):
    dataset, path, table, _, _ = real
    assert verify_table(path).regions == len(dataset.train) * 8
    label_of = {example.path: example.label for example in dataset.train}
    label = np.array([label_of[image.path] for image in table.spec.images])
    best = table.arrays["label_index"][..., 0].read().result()
    # A guess would be right in a fifth of the regions.
    assert (best == label[:, None]).mean() > 0.5
    # Classes shifted by one must not do as well: labels and names go together.
    assert (best == (label[:, None] + 1) % 5).mean() < 0.3
    agreement = (best == label[:, None]).mean()
    assert f"{agreement:.1%} of regions" in describe(path)


def test_the_students_features_find_their_image_again(real):
    _, _, table, _, student = real
    names = ["label_prob", f"feature/{student.fingerprint}"]
    found = table.read(names, np.arange(len(table.spec.images)), np.arange(8))
    feature = found[names[1]].astype(np.float32)
    alike = np.einsum("nmd,kjd->nkmj", feature, feature).mean((2, 3))
    assert (alike.argmax(1) == np.arange(len(alike))).mean() > 0.6
    sums = found["label_prob"].astype(np.float32).sum(-1)
    np.testing.assert_allclose(sums, 1, atol=5e-3)  # all five classes are kept
