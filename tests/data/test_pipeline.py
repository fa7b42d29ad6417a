"""View batches: every image each epoch, the same whatever threads do."""

import json

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.data.pipeline import epoch_steps, view_batches
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError

IMAGES = 10


@pytest.fixture
def root(tmp_path):
    for n in range(IMAGES):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / f"{n}.png")
    return tmp_path


EXAMPLES = [Example(f"{n}.png", n) for n in range(IMAGES)]


def view(image, rng):
    """2 × 2 pixels: the image's own red, and 32 drawn bits in green."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0] = np.asarray(image)[:2, :2, 0]
    pixels[..., 1] = rng.integers(0, 256, (2, 2))
    return pixels


def batches(root, batch_size=4, epochs=3, seed=7):
    iterator = view_batches(root, EXAMPLES, view, batch_size, epochs, seed)
    try:
        return list(iterator)
    finally:
        iterator.close()


def same(left, right):
    return len(left) == len(right) and all(
        np.array_equal(a[key], b[key])
        for a, b in zip(left, right, strict=True)
        for key in ("pixels", "label")
    )


def test_shapes_types_and_pairing(root):
    out = batches(root)
    assert len(out) == 3 * 2
    for batch in out:
        assert batch["pixels"].shape == (4, 2, 2, 3)
        assert batch["pixels"].dtype == np.uint8
        assert batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["pixels"][:, 0, 0, 0], batch["label"])


def test_an_epoch_never_repeats_an_image_and_epochs_differ(root):
    labels = [batch["label"] for batch in batches(root, epochs=4)]
    epochs = [np.concatenate(labels[n : n + 2]).tolist() for n in range(0, 8, 2)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    # What one epoch leaves out is not left out for ever.
    assert {label for epoch in epochs for label in epoch} == set(range(IMAGES))


def test_batch_is_at_most_all_images(root):
    assert epoch_steps(IMAGES, 64) == (IMAGES, 1)
    assert epoch_steps(IMAGES, 4) == (4, 2)
    out = batches(root, batch_size=64, epochs=2)
    assert [sorted(batch["label"].tolist()) for batch in out] == [[*range(IMAGES)]] * 2


def test_views_repeat_with_the_seed_and_differ_between_epochs_and_seeds(root):
    out = batches(root, batch_size=IMAGES)
    assert same(out, batches(root, batch_size=IMAGES))
    drawn = [batch["pixels"][np.argsort(batch["label"]), ..., 1] for batch in out]
    other = batches(root, batch_size=IMAGES, seed=8)[0]
    drawn.append(other["pixels"][np.argsort(other["label"]), ..., 1])
    flat = {views.tobytes() for epoch in drawn for views in epoch}
    assert len(flat) == 4 * IMAGES


def test_neighbouring_seeds_do_not_share_orders(root):
    orders = [
        tuple(batch["label"].tolist())
        for seed in (1, 2)
        for batch in batches(root, batch_size=IMAGES, seed=seed)
    ]
    assert len(set(orders)) == 6


def test_a_view_does_not_depend_on_the_batch_or_other_images(root):
    def green(out):
        pairs = {}
        for batch in out:
            pairs |= dict(
                zip(batch["label"].tolist(), batch["pixels"][..., 1], strict=True)
            )
        return pairs

    whole = green(batches(root, batch_size=IMAGES, epochs=1))
    few = list(view_batches(root, EXAMPLES[3:6], view, 3, 1, 7))
    for label, pixels in green(few).items():
        np.testing.assert_array_equal(pixels, whole[label])


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resume_is_exact(root, stop):
    whole = batches(root)
    iterator = view_batches(root, EXAMPLES, view, 4, 3, 7)
    before = [next(iterator) for _ in range(stop)]
    state = json.loads(json.dumps(iterator.get_state()))
    iterator.close()
    other = view_batches(root, EXAMPLES, view, 4, 3, 7)
    other.set_state(state)
    assert same(before + list(other), whole)


def test_a_view_may_have_several_sizes(root):
    def two(image, rng):
        small = view(image, rng)
        return {"student": small, "teacher": small.repeat(2, 0).repeat(2, 1)}

    batch = next(view_batches(root, EXAMPLES, two, 4, 1, 7))
    assert batch["pixels"]["student"].shape == (4, 2, 2, 3)
    assert batch["pixels"]["teacher"].shape == (4, 4, 4, 3)


def test_broken_image_is_named(root):
    (root / "3.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3\.png' cannot be read"):
        batches(root)


def test_no_image_is_refused(root):
    with pytest.raises(UserError, match="no image to train on"):
        view_batches(root, [], view, 4, 3, 7)
