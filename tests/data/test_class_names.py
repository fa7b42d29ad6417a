import pytest

from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.errors import UserError


def test_names_come_in_the_order_of_their_lines(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("tabby cat\n\n  sea lion \nébène\n", encoding="utf-8")
    assert read_names(file) == ("tabby cat", "sea lion", "ébène")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\ndog\ncat\n", "'cat' twice"),
        (b"cat\n", "fewer than two"),
        (b"", "fewer than two"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_refused_by_its_file(tmp_path, content, message):
    file = tmp_path / "names.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_names(file)
    assert "names.txt" in str(error.value)
