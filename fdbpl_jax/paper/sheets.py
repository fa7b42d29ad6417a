"""All that was run of the paper, in its order."""

from pathlib import Path

from fdbpl_jax.paper.components import component_sheet
from fdbpl_jax.paper.kept_labels import keep_sheet
from fdbpl_jax.paper.pictures import attention_sheet, case_sheet
from fdbpl_jax.paper.published import Published
from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.paper.table_sheet import table_sheet
from fdbpl_jax.paper.tables import collect
from fdbpl_jax.paper.times import time_sheet


def sheets_of(workdir: Path, published: Published) -> list[Sheet]:
    """The tables, then the figures, as far as they were run.

    Args:
      workdir: of the runs.
      published: the printed numbers.

    Raises:
      UserError: a report, or a picture, is not whole.
    """
    tables = [table_sheet(one, published) for one in collect(workdir, published)]
    figures = [
        time_sheet(workdir, published),
        keep_sheet(workdir, published),
        component_sheet(workdir, published),
        attention_sheet(workdir),
        case_sheet(workdir),
    ]
    return [*tables, *(sheet for sheet in figures if sheet)]
