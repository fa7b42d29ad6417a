"""The published numbers agree with each other, but where the notes say they do not."""

import collections

import msgspec
import pytest

from fdbpl_jax.paper.published import Published, load

TARGETS = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
SETS = [
    "imagenet",
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
]
METHODS = [
    "zero-shot",
    "teacher",
    "coop",
    "vpt",
    "maple",
    "promptsrc",
    "coop+fdbpl",
    "promptsrc+kdpl",
    "promptsrc+fdbpl",
]


@pytest.fixture(scope="module")
def published() -> Published:
    return load()


def select(published, **fields):
    """The numbers whose fields have these values, in order."""
    return [
        number
        for number in published.numbers
        if all(getattr(number, name) == value for name, value in fields.items())
    ]


def excepted(published, topic):
    return {row for note in published.notes if note.topic == topic for row in note.rows}


def place(number):
    return number.table, number.dataset, number.method, number.what


def row_of(published, dataset, method):
    """A row of table 2, by what is measured."""
    row = select(published, table="table2", dataset=dataset, method=method)
    return {number.what: number.value for number in row}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"table": "table1"', '"table": "table7"', "Invalid enum value 'table7'"),
        ('"what": "base"', '"what": "bass"', "Invalid enum value 'bass'"),
        ('"value": 60.5', '"value": "60.5"', "Expected `float`, got `str`"),
        ('"value": 60.5', '"value": 60.5, "k": 1', "unknown field `k`"),
        ('"printed": "CoOp", ', "", "missing required field `printed`"),
    ],
)
def test_numbers_with_a_mistake_are_refused(before, after, message):
    number = '{"table": "table1", "dataset": "dtd", "method": "coop", "what": "base", '
    number += '"printed": "CoOp", "value": 60.5, "source": "paper, table 1"}'
    content = '{"paper": {}, "models": {}, "claims": [], "notes": [], "numbers": [%s]}'
    msgspec.json.decode(content % number, type=Published)
    assert before in number
    wrong = content % number.replace(before, after)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(wrong, type=Published)


def test_every_number_is_a_percentage_under_our_names(published):
    for number in published.numbers:
        assert 0 < number.value < 100, number
        assert number.dataset in {*SETS, *TARGETS, "average"}, number
        assert number.method in METHODS, number
        assert number.what in {"base", "new", "hm", "accuracy"}, number
        assert number.source.startswith(f"paper, table {number.table[-1]}"), number


def test_no_number_is_there_twice(published):
    keys = collections.Counter(
        (*place(n), n.shots, n.label, n.teacher, n.terms) for n in published.numbers
    )
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize(
    ("table", "count"),
    # Six data sets of 5 rows; 24 cells each less those that cannot be read; ...
    [
        ("table1", 6 * 5),
        ("table2", 12 * 24 - 14 - 10 - 7),
        ("table3", 2 * 2 * 5),
        ("table4", 2 * 4),
        ("table5", 3 * 3 - 2),
        ("table6", 8 * 6),
    ],
)
def test_all_cells_of_a_table_are_there(published, table, count):
    assert len(select(published, table=table)) == count


def test_hm_is_the_harmonic_mean(published):
    wrong, compared = set(), 0
    for number in select(published, table="table2", what="hm"):
        row = row_of(published, number.dataset, number.method)
        if number.dataset == "average":  # a mean of the data sets' HMs: below
            continue
        mean = 2 * row["base"] * row["new"] / (row["base"] + row["new"])
        compared += 1
        if abs(mean - number.value) > 0.03:
            wrong.add(place(number))
    assert compared == 73  # 8 data sets of 8 rows, and 9 of 3 more
    assert wrong == excepted(published, "hm")


def test_averages_of_table_2_are_means(published):
    wrong, compared = set(), 0
    for number in select(published, table="table2", dataset="average"):
        same = select(published, table="table2", method=number.method, what=number.what)
        values = [other.value for other in same if other.dataset != "average"]
        if len(values) < len(SETS):  # a cell that cannot be read
            continue
        compared += 1
        if abs(sum(values) / len(SETS) - number.value) > 0.0101:
            wrong.add(place(number))
    assert compared == 10  # two whole rows and the base column of four more
    assert wrong == excepted(published, "average")


def test_averages_of_table_6_are_means_of_the_targets(published):
    rows = select(published, table="table6", dataset="average")
    assert len(rows) == 8
    for average in rows:
        key = {"table": "table6", "method": average.method, "terms": average.terms}
        values = [
            number.value
            for target in TARGETS
            for number in select(published, dataset=target, **key)
        ]
        assert sum(values) / 4 == pytest.approx(average.value, abs=0.01)


def test_tables_that_share_a_value_agree(published):
    """What the notes infer the learner and the kind of accuracy from."""
    for dataset in ("imagenet", "food101"):
        coop = row_of(published, dataset, "coop")["new"]
        (few,) = select(
            published, table="table3", dataset=dataset, method="coop", shots=16
        )
        assert few.value == coop
        (large,) = select(
            published, table="table5", dataset=dataset, teacher="ViT-L/14"
        )
        (shots,) = select(
            published, table="table3", dataset=dataset, method="coop+fdbpl", shots=16
        )
        assert large.value == shots.value


def test_a_row_that_is_not_printed_is_empty(published):
    assert row_of(published, "sun397", "coop") == {"base": 79.17}
    assert row_of(published, "sun397", "promptsrc+fdbpl") == {}


def test_figures_of_the_text(published):
    """The claim measured most often: FDBPL over KDPL on ImageNet's new classes."""
    fdbpl = row_of(published, "imagenet", "promptsrc+fdbpl")
    kdpl = row_of(published, "imagenet", "promptsrc+kdpl")
    assert fdbpl == {"base": 72.34, "new": 67.49, "hm": 69.83}
    assert fdbpl["new"] - kdpl["new"] == pytest.approx(1.16)
    assert published.models["student"] == "ViT-B/32"
