import threading

from fdbpl_jax.ril.build import build_table
from fdbpl_jax.ril.ledger import claim


def test_a_block_is_claimed_once(tmp_path):
    with (
        claim(tmp_path / "locks", 3) as first,
        claim(tmp_path / "locks", 3) as second,
        claim(tmp_path / "locks", 4) as other,
    ):
        assert (first, second, other) == (True, False, True)
    with claim(tmp_path / "locks", 3) as again:
        assert again


def test_without_a_file_system_everything_is_free():
    with claim(None, 3) as first, claim(None, 3) as second:
        assert first
        assert second


def test_a_builder_waits_for_what_another_has_in_work(
    tmp_path, files, built, dataset, spec, teacher, student
):
    path = tmp_path / "t"
    reports = []

    def build():
        reports.append(build_table(path, spec, dataset.root, teacher, student))

    with claim(path / "building", 1) as held:
        assert held
        thread = threading.Thread(target=build)
        thread.start()
        thread.join(timeout=3)
        assert thread.is_alive()  # blocks 0 and 2 are made, block 1 is not its own
        assert not (path / "manifest.json").exists()
    thread.join()
    assert reports[0].regions_built == 40 * 6
    assert files(path) == files(built)
