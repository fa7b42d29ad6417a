import json

import pytest

from fdbpl_jax.sealed import (
    digest,
    file_digest,
    folder_digest,
    seal,
    unseal,
    unseal_if_sealed,
)

VALUES = {"one": [1, 2.5, None], "two": {"é": "\udce9"}}


def test_what_was_sealed_is_read_back_whatever_its_layout():
    sealed = seal(VALUES)
    turned = dict(reversed(sealed.items()))
    for text in (json.dumps(sealed), json.dumps(turned, indent=3)):
        assert unseal(text) == VALUES
        unseal_if_sealed(text)


@pytest.mark.parametrize("change", [{"one": [1, 2.5]}, {"three": 3}, {"sha256": "0"}])
def test_what_was_changed_is_refused(change):
    text = json.dumps(seal(VALUES) | change)
    for check in (unseal, unseal_if_sealed):
        with pytest.raises(ValueError, match="check sum is wrong"):
            check(text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "[" * 99_999, json.dumps(VALUES), b"\xff"]
)
def test_what_was_never_sealed_is_no_sealed_json(text):
    with pytest.raises(ValueError):
        unseal(text)


def test_json_without_a_digest_passes_the_check_of_earlier_versions():
    assert unseal_if_sealed(json.dumps(VALUES)) == VALUES


def test_a_digest_is_of_values_not_of_their_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest(v) for v in (1, 1.5, "1", [1], {"1": 1}, None)}) == 6


def test_a_folder_is_its_names_and_contents(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    first = folder_digest(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    renamed = folder_digest(tmp_path)
    (tmp_path / "c").write_text("3")
    assert len({first, renamed, folder_digest(tmp_path)}) == 3
    (tmp_path / "c").write_text("2")
    assert folder_digest(tmp_path) == renamed
    assert folder_digest(tmp_path / "nothing") == digest([])
    assert (file_digest(tmp_path / "nothing"), len(file_digest(tmp_path / "c"))) == (
        "",
        64,
    )
