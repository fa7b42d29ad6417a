from fdbpl_jax.errors import unknown_name


def test_the_nearest_name_and_all_known_ones_are_named():
    error = unknown_name("method", "cop", ("maple", "coop"))
    assert str(error) == (
        "unknown method 'cop'. Did you mean 'coop'? Known: coop, maple."
    )
    assert "Did you mean" not in str(unknown_name("method", "zzz", ("maple", "coop")))


def test_of_thousands_of_names_the_nearest_is_named_and_some_are_listed():
    names = [f"train/{number:04d}.jpg" for number in range(2000)]
    error = unknown_name("image", "train/1234.png", names)
    assert error.do.startswith("Did you mean 'train/1234.jpg'? Known: train/0000.jpg, ")
    assert error.do.endswith(" train/0049.jpg and 1950 more.")
