import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.claim import claim

SETTINGS = {"seed": 1, "optim": {"lr": 0.1, "epochs": 5}, "names": ("a", "b")}


def test_the_same_settings_are_let_in_again(tmp_path):
    claim(tmp_path / "cell", SETTINGS)
    claim(tmp_path / "cell", SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optim": {"lr": 0.2, "epochs": 5}}, r"optim.lr = 0.1, this run has 0.2"),
        ({"names": ("b", "a")}, r"names = \['a', 'b'\], this run has \['b', 'a'\]"),
        ({"teacher": "x"}, r"teacher = None, this run has 'x'"),
    ],
)
def test_other_settings_are_refused_by_name_and_value(tmp_path, change, message):
    claim(tmp_path, SETTINGS)
    with pytest.raises(UserError, match=message):
        claim(tmp_path, SETTINGS | change)


def test_a_broken_record_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        claim(tmp_path, SETTINGS)
