"""Numbers as reports write them."""

BLANK = "–"  # stands where there is no value


def accuracy_text(mean: float | None, std: float | None = None) -> str:
    """`77.35 ± 0.52`; without the spread where there is none."""
    if mean is None:
        return BLANK
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def seconds_text(seconds: float | None) -> str:
    """Seconds as short as is useful: `0`, `0.42`, `123.4`, `12345`."""
    if not seconds:
        return BLANK if seconds is None else "0"
    return f"{seconds:.{2 if seconds < 10 else 1 if seconds < 1000 else 0}f}"
