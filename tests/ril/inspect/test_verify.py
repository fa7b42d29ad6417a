import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.inspect.show import describe
from fdbpl_jax.ril.inspect.verify import VerifyReport, verify_table
from fdbpl_jax.ril.table import array_shapes, open_table


def test_a_whole_table_is_whole(built):
    assert verify_table(built) == VerifyReport(40, 240, 6, 1)


def nan(value):
    value[2, 3] = np.nan


def negative(value):
    value[2, 3] = -0.5


def doubled(value):
    value[2, 3] *= 2


def turned(value):
    value[2, 3] = value[2, 3][::-1].copy()


def beyond(value):
    value[2, 3] = 60000


def twice(value):
    value[2, 3, 1] = value[2, 3, 0]


def empty(value):
    value[2, 3, 2] = 0


WRONG = [
    ("box", beyond, "box outside the image"),
    ("box", empty, "box outside the image"),
    ("label_index", beyond, "none of the 6 classes"),
    ("label_index", twice, "a label twice"),
    ("label_prob", nan, "probability outside"),
    ("label_prob", negative, "probability outside"),
    ("label_prob", turned, "not the most probable first"),
    ("entropy", nan, "entropy outside"),
    ("entropy", negative, "entropy outside"),
    ("feature", doubled, "not norm 1"),
    ("feature", nan, "not norm 1"),
]


@pytest.mark.parametrize(("array", "spoil", "message"), WRONG)
def test_values_that_cannot_be_are_found(copy, student, array, spoil, message):
    table = open_table(copy)
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    shape, dtype = array_shapes(table.spec, table.student, table.feature_width)[name]
    writable = store.open_array(table.folder, name, shape, dtype, 16)
    value = writable[16:32].read().result()
    spoil(value)
    writable[16:32].write(value).result()
    with pytest.raises(UserError, match=message) as caught:
        verify_table(copy)
    assert "region 3 of image 18" in caught.value.what
    assert table.spec.images[18].path in caught.value.what


def test_show_says_what_is_in_a_table(built, table, student):
    text = describe(built)
    assert "pictures: 40 images, 6 classes (ant, bee, cow, dog, emu, …)" in text
    assert "labels      4 kept of 6" in text
    assert f"student {student.fingerprint[:16]}…, 10 wide" in text
    assert "40 of 40 images lie in a folder named as a class" in text
    size = sum(
        file.stat().st_size
        for name in table.arrays
        for file in (built / name).rglob("*")
        if file.is_file()
    )
    assert f"{size / 240:.1f}" in text
    best = table.arrays["label_index"][..., 0].read().result()
    names = [image.path.split("/")[0] for image in table.spec.images]
    label = np.array([table.spec.class_names.index(name) for name in names])
    assert f"{(best == label[:, None]).mean():.1%} of regions" in text
    assert "information weight w of 240 regions" in text
