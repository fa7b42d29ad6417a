"""Image features: right whatever the batching, kept, and never trusted when damaged."""

import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from support.image_reads import noted_reads

from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.clip.image import ImageSettings, preprocess
from fdbpl_jax.clip.model import Clip, load_clip
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation import features
from fdbpl_jax.evaluation.features import are_kept, split_features, tower_features

IMAGES = 7


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for n in range(IMAGES):
        Image.new("RGB", (5, 4), (n, 2 * n, 255 - n)).save(root / f"{n}.png")
    examples = tuple(Example(f"{n}.png", 0) for n in range(IMAGES))
    return Dataset("toy", root, ("a",), "{}", examples, (), ())


@pytest.fixture
def clip():
    clip = mock.Mock(
        spec=Clip,
        config=mock.Mock(spec=ClipConfig, projection=3),
        image=ImageSettings(size=2),
        fingerprint="towers 1",
    )
    clip.name = "toy"  # a Mock takes `name` for itself
    return clip


@pytest.fixture
def tower(monkeypatch):
    """Stands in for the image tower: the first pixel's colour; notes its batches."""
    seen = []

    def image_features(clip, pixels):
        seen.append(pixels.shape)
        return pixels[:, 0, 0].astype(np.float32)

    monkeypatch.setattr(features, "image_features", image_features)
    monkeypatch.setattr(features, "_BATCH", 3)
    return seen


EXPECTED = np.array([[n, 2 * n, 255 - n] for n in range(IMAGES)], np.float32)


def compute(clip, data, tmp_path):
    return split_features(clip, data, data.train, tmp_path / "cache")


def test_rows_follow_the_examples_in_batches_of_one_shape(clip, data, tower, tmp_path):
    out = compute(clip, data, tmp_path)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, EXPECTED)
    assert tower == [(3, 2, 2, 3)] * 3
    back = split_features(clip, data, data.train[::-1], tmp_path / "cache")
    np.testing.assert_array_equal(back, EXPECTED[::-1])


def test_second_time_is_read_and_leaves_one_file(clip, data, tower, tmp_path):
    first = compute(clip, data, tmp_path)
    tower.clear()
    np.testing.assert_array_equal(compute(clip, data, tmp_path), first)
    assert tower == []
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".npz"]


def test_another_model_or_another_image_is_computed(clip, data, tower, tmp_path):
    compute(clip, data, tmp_path)
    tower.clear()
    clip.fingerprint = "towers 2"
    compute(clip, data, tmp_path)
    assert len(tower) == 3
    Image.new("RGB", (5, 4), (9, 9, 9)).save(data.root / "2.png")
    assert compute(clip, data, tmp_path)[2].tolist() == [9, 9, 9]


def flip_byte(file):
    content = bytearray(file.read_bytes())
    content[content.index(EXPECTED.tobytes()) + 1] ^= 1
    file.write_bytes(content)


def halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_shape(file):
    with np.load(file) as kept:
        np.savez(file, features=kept["features"][:-1], sha256=kept["sha256"])


def other_values(file):
    with np.load(file) as kept:
        np.savez(file, features=kept["features"] + 1, sha256=kept["sha256"])


def pickled(file):
    np.savez(file, features=np.array([{}], object), sha256="")


def scalar(file):
    np.savez(file, features=np.float32(1), sha256="")


DAMAGE = [flip_byte, halve, other_shape, other_values, pickled, scalar]
DAMAGE += [lambda file: file.write_bytes(b""), lambda file: np.savez(file, a=1)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_computed_again(clip, data, tower, tmp_path, damage, caplog):
    compute(clip, data, tmp_path)
    (file,) = (tmp_path / "cache").iterdir()
    damage(file)
    tower.clear()
    np.testing.assert_array_equal(compute(clip, data, tmp_path), EXPECTED)
    assert len(tower) == 3
    assert "computing it again" in caplog.text
    tower.clear()
    compute(clip, data, tmp_path)
    assert tower == []


def test_file_of_another_model_under_this_name_is_found_out(
    clip, data, tower, tmp_path, caplog
):
    compute(clip, data, tmp_path)
    (first,) = (tmp_path / "cache").iterdir()
    clip.fingerprint = "towers 2"
    compute(clip, data, tmp_path)
    (second,) = set((tmp_path / "cache").iterdir()) - {first}
    os.replace(first, second)
    compute(clip, data, tmp_path)
    assert "is not what was kept there" in caplog.text


def test_broken_images_are_all_named_and_nothing_is_kept(clip, data, tower, tmp_path):
    for name in ("0.png", "6.png"):
        (data.root / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"2 images are broken: .*0\.png.*6\.png"):
        compute(clip, data, tmp_path)
    assert tower == []
    (data.root / "0.png").unlink()
    with pytest.raises(UserError, match=r"0\.png' is missing"):
        compute(clip, data, tmp_path)
    assert not (tmp_path / "cache").exists()


def test_features_that_are_not_finite_are_refused(clip, data, monkeypatch, tmp_path):
    def image_features(clip, pixels):
        return np.full((len(pixels), 3), np.nan, np.float32)

    monkeypatch.setattr(features, "image_features", image_features)
    with pytest.raises(UserError, match=r"no finite feature for 7 images: 0\.png, "):
        compute(clip, data, tmp_path)
    assert not (tmp_path / "cache").exists()


def test_cache_that_cannot_be_written_costs_no_result(
    clip, data, tower, tmp_path, monkeypatch, caplog
):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    np.testing.assert_array_equal(compute(clip, data, tmp_path), EXPECTED)
    assert "No space left on device" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_path_that_is_a_file_costs_no_result(clip, data, tower, tmp_path, caplog):
    (tmp_path / "cache").write_text("mine")
    np.testing.assert_array_equal(compute(clip, data, tmp_path), EXPECTED)
    assert "cannot keep image features" in caplog.text


@pytest.fixture
def second(clip):
    """Another tower, which sees more pixels."""
    other = mock.Mock(
        spec=Clip, config=clip.config, image=ImageSettings(size=4), fingerprint="other"
    )
    other.name = "other"
    return other


@pytest.fixture
def reads(monkeypatch, data):
    """Notes every decoding, and every reading for a hash alone, by file name."""
    return noted_reads(monkeypatch, data.root)


@pytest.fixture
def run(clip, second, data, tmp_path):
    """One run of two towers on two lists of as many images, read long after writing."""
    for n in range(IMAGES):
        os.utime(data.root / f"{n}.png", ns=(n + 1, n + 1))

    def both(clips=(clip, second)):
        source = SourceImages.recorded_in(tmp_path / "records", data.root)
        halves = data.train[:3], data.train[3:6]
        return [
            tower_features(clips, source, half, tmp_path / "cache") for half in halves
        ]

    return both


ALL = [f"decode {n}.png" for n in range(6)]


def test_images_are_decoded_once_for_all_towers(run, clip, tower, reads):
    first = run()
    assert sorted(reads) == ALL
    assert [shape[1] for shape in tower] == [2, 4, 2, 4]
    for half, rows in zip(first, (EXPECTED[:3], EXPECTED[3:6]), strict=True):
        for values in half:
            np.testing.assert_array_equal(values, rows)
    reads.clear()
    tower.clear()
    again = run()
    assert reads == tower == []
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)


def test_only_the_tower_without_features_runs(run, clip, second, tower, reads):
    run([clip])
    reads.clear()
    tower.clear()
    run()
    assert sorted(reads) == ALL
    assert [shape[1] for shape in tower] == [4, 4]


def test_a_changed_image_costs_its_own_list(run, data, tower, reads):
    run()
    reads.clear()
    Image.new("RGB", (5, 4), (9, 9, 9)).save(data.root / "4.png")
    _, (after, _) = run()
    assert after[1].tolist() == [9, 9, 9]
    assert sorted(reads) == [*ALL[3:], "hash 4.png"]


def test_a_lost_record_costs_hashes_and_no_decoding(run, tower, reads, tmp_path):
    run()
    (record,) = (tmp_path / "records").iterdir()
    record.unlink()
    reads.clear()
    tower.clear()
    run()
    assert sorted(reads) == [f"hash {n}.png" for n in range(6)]
    assert tower == []


def test_features_brought_from_elsewhere_are_found(run, data, tower, reads, tmp_path):
    run()
    (record,) = (tmp_path / "records").iterdir()
    record.unlink()
    SourceImages.recorded_in(tmp_path / "records", data.root).facts(["6.png"])
    reads.clear()
    tower.clear()
    run()
    assert sorted(reads) == [f"hash {n}.png" for n in range(6)]
    assert tower == []


def test_whether_features_are_kept_is_known_without_reading(
    run, clip, data, tower, reads, tmp_path
):
    def kept(examples):
        source = SourceImages.recorded_in(tmp_path / "records", data.root)
        return are_kept(clip, source, examples, tmp_path / "cache")

    assert not kept(data.train[:3])
    run()
    reads.clear()
    assert kept(data.train[:3])
    assert not kept(data.train[:4])  # no file is so large
    assert reads == []
    assert not kept(data.train[4:7])  # as many, of which no run has read the last
    assert reads == ["hash 6.png"]


def test_no_examples_are_no_rows(clip, data, tower, tmp_path):
    assert split_features(clip, data, [], tmp_path).shape == (0, 3)
    assert tower == []


def test_decoding_does_not_run_away_from_the_tower(clip, data, monkeypatch, tmp_path):
    started = []

    def counted(image, settings):
        started.append(settings)
        return preprocess(image, settings)

    def image_features(clip, pixels):
        batches.append(len(started))
        return pixels[:, 0, 0].astype(np.float32)

    batches = []
    monkeypatch.setattr(features, "preprocess", counted)
    monkeypatch.setattr(features, "image_features", image_features)
    monkeypatch.setattr(features, "_BATCH", 1)
    compute(clip, data, tmp_path)
    assert batches[0] <= 3


def test_real_model_and_images(shared_dir, tmp_path):
    student = load_clip(str(shared_dir / "models" / "tiny-clip-student"))
    data = load_dataset("dtd", shared_dir / "data")
    examples = data.test[:70]
    out = split_features(student, data, examples, tmp_path)
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    alone = split_features(student, data, examples[66:67], tmp_path)
    np.testing.assert_allclose(alone[0], out[66], atol=1e-5)
    again = split_features(student, data, examples, tmp_path)
    np.testing.assert_array_equal(again, out)
