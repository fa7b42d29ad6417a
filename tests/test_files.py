import os
import threading
import time

import pytest

from fdbpl_jax import files
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import lock, write_bytes, write_folder


def test_a_lock_is_one_process_s_at_a_time(tmp_path):
    file, order = tmp_path / "folder" / "lock", []

    def waits():
        with lock(file, wait=True) as mine:
            order.append(mine)

    with lock(file) as first, lock(file) as second, lock(tmp_path / "other") as other:
        assert (first, second, other) == (True, False, True)
        thread = threading.Thread(target=waits)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        assert not order
    thread.join()
    assert order == [True]


def test_where_nothing_can_be_locked_every_try_works(tmp_path):
    (tmp_path / "file").touch()
    with lock(tmp_path / "file" / "lock") as first, lock(tmp_path / "file") as second:
        assert first
        assert second


def old(path):
    day_before = time.time() - 2 * 86400
    os.utime(path, (day_before, day_before))
    return path


def test_what_a_killed_writer_left_goes_with_the_next_write_and_others_stay(tmp_path):
    for name in (".a.json.1.tmp", ".a.json.2.tmp", ".b.json.3.tmp"):
        (tmp_path / name).write_text("half")
    old(tmp_path / ".a.json.1.tmp")
    old(tmp_path / ".b.json.3.tmp")
    write_bytes(tmp_path / "a.json", b"whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.json", ".a.json.2.tmp", ".b.json.3.tmp"}
    (tmp_path / ".folder.4.old" / "inner").mkdir(parents=True)
    old(tmp_path / ".folder.4.old")
    target = tmp_path / "folder"
    write_folder(target, lambda part: (part / "x").touch(), target.exists)
    assert [path.name for path in target.iterdir()] == ["x"]
    assert not (tmp_path / ".folder.4.old").exists()


def test_temporary_names_are_random(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(files.os, "replace", lambda new, old: names.append(new.name))
    for _ in range(100):
        write_bytes(tmp_path / "a", b"")
    assert len(set(names)) == 100
    assert not any(str(os.getpid()) == name.split(".")[2] for name in names)


def test_a_write_that_fails_says_why_in_one_line_and_leaves_what_was_there(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*a: Is a directory"):
        write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
