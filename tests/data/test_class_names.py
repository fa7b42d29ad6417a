import json
import logging

import pytest
from PIL import Image
from support.data_sets import WNIDS, lay_out

from fdbpl_jax.data.class_names import (
    as_read,
    check_class_names,
    read_names,
    warn_of_numbers,
)
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.errors import UserError


def test_names_come_in_the_order_of_their_lines(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\ufefftabby cat\r\n\n  sea lion \nébène\n", encoding="utf-8")
    assert read_names(file) == ("tabby cat", "sea lion", "ébène")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\ndog\ncat\n", "'cat' twice"),
        (b"cat\nDog\ndog\n", "'Dog' and 'dog' .*names.txt' read the same"),
        (b"cat\ndog\x1b[2J\n", r"name 'dog\\x1b\[2J' .* control"),
        (b"cat\x0bdog\nant\n", r"name 'cat\\x0bdog' .* control"),
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


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Sea  Lion ", "sea lion"),
        ("AdÃ©lie penguin", "adélie penguin"),  # UTF-8 that was read as Latin-1
        ("Dame’s rocket", "dame's rocket"),
        ("cafe\u0301", "caf\u00e9"),
        ("ﬁsh", "fish"),
        ("fish &amp;amp; chips", "fish & chips"),
        ("a < fish &amp;amp; chips", "a < fish & chips"),  # left alone by `ftfy`
        ("kite (bird of prey)", "kite (bird of prey)"),
    ],
)
def test_names_are_read_as_by_the_tokenizer_of_clips_authors(text, read):
    assert as_read(text) == read


SAME = [
    ("Apple", "apple"),
    ("ice cream", "ice  cream"),
    ("ice cream", "ice_cream"),
    ("caf\u00e9", "cafe\u0301"),
    ("plum ", "plum"),
    ("plum_", "plum"),
    ("Dame's rocket", "Dame’s rocket"),
    ("black & tan", "black &amp; tan"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_names_that_are_the_same_to_clip_are_refused(first, second):
    with pytest.raises(UserError) as error:
        check_class_names("data", ("pear", first, "fig", second))
    assert f"'{first}' and '{second}' in 'data' read the same" in str(error.value)


def test_names_that_differ_to_clip_are_not_refused():
    """`str.casefold` would take the first two for one; CLIP does not."""
    check_class_names("data", ("straße", "strasse", "ice cream", "icecream", "café"))


def test_imagenets_two_pairs_are_left_as_they_are():
    pairs = ("missile", "cat", "missile", "sunglasses", "sunglasses")
    check_class_names("imagenet", pairs)
    for third in ("missile", "Missile", "cat"):
        with pytest.raises(UserError, match=third):
            check_class_names("imagenet", (*pairs, third))


@pytest.mark.parametrize(
    "name", ["ant\n12:00:00 forged", "ant\x1b[31m", "\u202etna", "ant\x85", "caf\udce9"]
)
def test_names_that_could_forge_a_line_are_refused_on_one_line(name):
    with pytest.raises(UserError) as error:
        check_class_names("data", ("bee", name))
    assert str(error.value).isprintable()
    assert "control character" in str(error.value)


def test_names_that_are_numbers_or_wordnet_ids_are_named_once(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_numbers("data", ("n01440764", "12", "737-400", "707", "n0144", "cat 2"))
    (record,) = caplog.records
    assert "3 classes" in record.getMessage()
    assert record.getMessage().endswith("n01440764, 12, 707")
    caplog.clear()
    warn_of_numbers("data", ("cat", "dog"))
    assert not caplog.records


def images(root, names):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for place in range(3):
            colour = (40 * number, 60 * place, 0)
            Image.new("RGB", (8, 8), colour).save(root / name / f"{place}.png")


def listed(root, names):
    """A list of the images of folders 0, 1, …, with these names."""
    images(root, [str(number) for number in range(len(names))])
    lines = [
        f'{number}/{place}.png,"{name}"'
        for number, name in enumerate(names)
        for place in range(3)
    ]
    (root / "list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    return root / "list.csv"


def split_file(root, names):
    """A data set in CoOp's layout with these names."""
    folder = root / "eurosat"
    images(folder / "2750", [str(number) for number in range(len(names))])
    rows = [
        [[f"{number}/{place}.png", number, name] for number, name in enumerate(names)]
        for place in range(3)
    ]
    parts = dict(zip(("train", "val", "test"), rows, strict=True))
    (folder / "split_zhou_EuroSAT.json").write_text(json.dumps(parts))
    return root


@pytest.mark.parametrize(("first", "second"), SAME)
def test_every_form_of_data_refuses_them(tmp_path, first, second):
    names = (first, "pear", second)
    images(tmp_path / "folder", names)
    with pytest.raises(UserError, match="read the same"):
        load_dataset("folder", tmp_path / "folder")
    if first.split() != second.split():  # blanks in a list mean nothing
        with pytest.raises(UserError, match="read the same"):
            load_dataset("csv", listed(tmp_path / "csv", names))
    with pytest.raises(UserError, match="has the labels 0 and 2"):
        load_dataset("eurosat", split_file(tmp_path / "coop", names))


def test_every_form_of_data_refuses_names_that_forge_lines(tmp_path):
    names = ("bee", "ant\n12:00:00 forged", "cat")
    images(tmp_path / "folder", names)
    sources = {
        "folder": tmp_path / "folder",
        "csv": listed(tmp_path / "csv", names),
        "eurosat": split_file(tmp_path / "coop", names),
    }
    for form, place in sources.items():
        with pytest.raises(UserError, match=r"ant\\+n12:00:00 forged") as error:
            load_dataset(form, place)
        assert str(error.value).isprintable()


def test_numbers_as_names_are_told_once_for_any_form(tmp_path, caplog):
    images(tmp_path, ("n01440764", "n01443537", "pear"))
    with caplog.at_level(logging.WARNING):
        load_dataset("folder", tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "n01440764, n01443537" in message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("missile", "tench", "missile"), None),
        (("Tench", "goldfish", "tench"), "'Tench' and 'tench' .*read the same"),
        (("tench", "goldfish", "tench"), "'tench' twice"),
        (("tench", "gold\x1b[31mfish", "shark"), r"gold\\x1b\[31mfish"),
    ],
)
def test_imagenets_own_list_is_looked_at_too(tmp_path, names, message):
    root = lay_out("imagenet", tmp_path)
    lines = [f"{wnid} {name}" for wnid, name in zip(WNIDS, names, strict=True)]
    (root / "imagenet" / "classnames.txt").write_text("\n".join(lines))
    if message is None:
        assert load_dataset("imagenet", root).class_names == names
        return
    with pytest.raises(UserError, match=message):
        load_dataset("imagenet", root)


def test_paths_that_forge_lines_are_refused_in_a_split_file(tmp_path):
    root = split_file(tmp_path, ("bee", "ant"))
    file = root / "eurosat" / "split_zhou_EuroSAT.json"
    file.write_text(file.read_text().replace("0/0.png", "0/0\\n12:00:00 forged.png"))
    with pytest.raises(UserError, match=r"row 0 of 'train' is .*control characters"):
        load_dataset("eurosat", root)
