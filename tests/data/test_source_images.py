"""Source images: each read once, remembered by size and time, handed on decoded."""

import os
import time

import numpy as np
import pytest
from PIL import Image
from support.image_reads import noted_reads

from fdbpl_jax.data import source_images
from fdbpl_jax.data.images import content_hash, read_image
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.errors import UserError

PATHS = ["a.png", "b.jpg", "c.bmp"]
AGE = 3_000_000_000  # ns: older than any clock's tick


def write(file, shade=0, age=AGE):
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(file)
    stamp = time.time_ns() - age
    os.utime(file, ns=(stamp, stamp))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for shade, path in enumerate(PATHS):
        write(folder / path, shade)
    return folder


@pytest.fixture
def record(tmp_path):
    return tmp_path / "record.json"


@pytest.fixture
def work(monkeypatch, root):
    """Notes every decoding and every reading for a hash alone, by file name."""
    return noted_reads(monkeypatch, root.parent)


DECODED = ["decode a.png", "decode b.jpg", "decode c.bmp"]


def test_facts_are_of_one_decoding_and_the_next_run_needs_none(root, record, work):
    first = SourceImages(root, record).facts(PATHS)
    assert sorted(work) == DECODED
    work.clear()
    again = SourceImages(root, record)
    assert again.facts(PATHS[::-1]) == first[::-1]
    assert again.hashes(PATHS) == [facts.hash for facts in first]
    assert work == []
    assert [(facts.height, facts.width) for facts in first] == [(4, 6)] * 3
    assert [facts.hash for facts in first] == [content_hash(root, p) for p in PATHS]


def test_decoded_images_are_handed_on_once(root, work):
    source = SourceImages(root)
    source.facts(PATHS)
    handed = source.image("b.jpg")
    assert len(work) == 3
    np.testing.assert_array_equal(handed, read_image(root, "b.jpg"))
    work.clear()
    np.testing.assert_array_equal(source.image("b.jpg"), handed)
    assert work == ["decode b.jpg"]


def test_memory_is_bounded(root, work):
    source = SourceImages(root, memory=2 * 6 * 4 * 3)
    source.facts(PATHS)
    for path in PATHS:
        source.image(path)
    assert len(work) == 3 + 1
    none = SourceImages(root, memory=0)
    none.facts(PATHS)
    assert none._pixels == {}


def test_an_image_on_record_is_decoded_when_it_is_asked_for(root, record, work):
    SourceImages(root, record).facts(PATHS)
    work.clear()
    source = SourceImages(root, record)
    source.facts(PATHS)
    assert source.image("a.png").size == (6, 4)
    assert work == ["decode a.png"]


def test_a_changed_image_is_noticed(root, record, work):
    before = SourceImages(root, record).facts(PATHS)
    work.clear()
    write(root / "c.bmp", 99, AGE + 5)  # the same size, another time
    assert (root / "c.bmp").stat().st_size == before[2].size
    after = SourceImages(root, record).facts(PATHS)
    assert work == ["decode c.bmp"]
    assert after[:2] == before[:2]
    assert after[2].hash == content_hash(root, "c.bmp") != before[2].hash


def test_a_change_of_size_alone_is_noticed(root, record):
    (before,) = SourceImages(root, record).hashes(["a.png"])
    stat = (root / "a.png").stat()
    with (root / "a.png").open("ab") as file:
        file.write(b"more")
    os.utime(root / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert SourceImages(root, record).hashes(["a.png"]) != [before]


@pytest.mark.parametrize(("age", "again"), [(0, DECODED[:1]), (AGE, [])])
def test_an_image_written_just_now_is_not_kept(root, record, work, age, again):
    write(root / "a.png", 7)
    stamp = time.time_ns() - age + (1_000_000_000 if age == 0 else 0)
    os.utime(root / "a.png", ns=(stamp, stamp))
    source = SourceImages(root, record)
    source.facts(PATHS)
    source.facts(PATHS)  # the same run trusts it
    assert len(work) == 3
    work.clear()
    SourceImages(root, record).facts(PATHS)
    assert work == again


def test_a_time_in_whole_seconds_needs_longer(root, record, work):
    second = 1_000_000_000
    stamp = (time.time_ns() // second - 1) * second
    os.utime(root / "a.png", ns=(stamp, stamp))
    os.utime(root / "b.jpg", ns=(stamp + 1, stamp + 1))
    SourceImages(root, record).facts(PATHS)
    work.clear()
    SourceImages(root, record).facts(PATHS)
    assert work == ["decode a.png"]


def test_hashes_need_no_decoding_and_are_no_check(root, record, work):
    (root / "c.bmp").write_bytes(b"no image")
    os.utime(root / "c.bmp", ns=(AGE, AGE))
    hashes = SourceImages(root, record).hashes(PATHS)
    # Threads do it: in any order.
    assert sorted(work) == ["hash a.png", "hash b.jpg", "hash c.bmp"]
    assert hashes == [content_hash(root, path) for path in PATHS]
    work.clear()
    with pytest.raises(UserError, match=r"c\.bmp' cannot be read"):
        SourceImages(root, record).facts(PATHS)
    assert sorted(work) == DECODED
    work.clear()
    assert SourceImages(root, record).hashes(PATHS) == hashes
    assert work == []


def test_broken_images_are_all_named_and_sound_ones_kept(root, record, work):
    (root / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"^image '.*a\.png' cannot be read"):
        SourceImages(root, record).facts(PATHS)
    (root / "c.bmp").unlink()
    work.clear()
    message = r"2 images are broken: .*a\.png.* cannot be read.*c\.bmp' is missing"
    with pytest.raises(UserError, match=message):
        SourceImages(root, record).facts(PATHS)
    assert work == ["decode a.png"]
    with pytest.raises(UserError, match=r"c\.bmp' is missing"):
        SourceImages(root, record).hashes(PATHS)


def halve(file):
    file.write_bytes(file.read_bytes()[:-20])


def another_hash(file):
    content = file.read_bytes()
    at = content.index(b"a.png") + 60
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


DAMAGE = [halve, another_hash, lambda file: file.write_bytes(b"")]
DAMAGE += [lambda file: file.write_text('{"a.png": 1}')]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_made_again(root, record, work, damage, caplog):
    first = SourceImages(root, record).facts(PATHS)
    whole = source_images._load(record)
    damage(record)
    work.clear()
    assert SourceImages(root, record).facts(PATHS) == first
    assert len(work) == 3
    assert "is damaged" in caplog.text
    assert source_images._load(record) == whole
    SourceImages(root, record).facts(PATHS)
    assert len(work) == 3


def test_two_processes_add_to_one_record(root, record, work):
    left, right = SourceImages(root, record), SourceImages(root, record)
    left.facts(PATHS[:2])
    right.facts(PATHS[2:])
    work.clear()
    SourceImages(root, record).facts(PATHS)
    assert work == []


def test_a_record_that_cannot_be_written_costs_no_result(root, record, caplog):
    (record.parent / "file").write_text("")
    source = SourceImages(root, record.parent / "file" / "record.json")
    assert len(source.facts(PATHS)) == 3
    assert "the record of images is not kept" in caplog.text


def test_roots_have_records_of_their_own(root, tmp_path, work):
    other = tmp_path / "other" / "images"
    other.mkdir(parents=True)
    write(other / "a.png", 50)
    for folder in (root, other, root):
        SourceImages.recorded_in(tmp_path / "records", folder).facts(["a.png"])
    assert work == ["decode a.png"] * 2
    assert len(list((tmp_path / "records").iterdir())) == 2


def test_the_record_knows_what_no_run_has_read(root, record):
    source = SourceImages(root, record)
    assert source.are_new(PATHS)
    source.facts(PATHS[:2])
    for images_of_root in (source, SourceImages(root, record)):
        assert images_of_root.are_new(PATHS)
        assert not images_of_root.are_new(PATHS[:2])
    write(root / "a.png", 9)
    assert not SourceImages(root, record).are_new(PATHS[:2])


def test_a_name_that_is_no_text_is_read_and_not_kept(root, record, work):
    name = os.fsdecode(b"\xff.png")
    os.rename(root / "a.png", root / name)
    source = SourceImages(root, record)
    assert [facts.width for facts in source.facts([name, "b.jpg"])] == [6, 6]
    work.clear()
    SourceImages(root, record).facts([name, "b.jpg"])
    assert work == [f"decode {name}"]
