"""What tests of tables share."""

import re


def unpadded(text: str) -> str:
    """A text with each run of blanks as one: tables without their alignment."""
    return re.sub(" +", " ", text)
