"""Self-contained HTML: the page that reports share, and its tables.

Nothing is fetched, and a content security policy holds a page to that.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f6f7f9; --ink: #1a1d21;
  --soft: #5c6470; --line: #d9dde3; --base: #0067b0; --new: #b84a00; --hm: #00795a;
  --warn: #a3231a; --warn-card: #fdeeec; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1e2327;
  --ink: #e7eaed; --soft: #a0a9b3; --line: #363d44; --base: #62b5f2; --new: #f2a15c;
  --hm: #4fcca3; --warn: #ff9d92; --warn-card: #3a1f1d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem 1rem 3rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; }
h3 { font-size: .95rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
p, ul { margin: .4rem 0; max-width: 46rem; }
ul { padding-left: 1.2rem; }
li, dd { overflow-wrap: anywhere; }
.soft, .legend { color: var(--soft); font-size: .9rem; }
.warn { background: var(--warn-card); color: var(--warn); border-radius: 8px;
  padding: .6rem .9rem; margin: 1rem 0; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .7rem; text-align: right; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom;
  white-space: normal; min-width: 4.2rem; }
tbody tr, thead tr { border-bottom: 1px solid var(--line); }
tbody:last-child tr:last-child { border-bottom: 0; }
th:first-child { position: sticky; left: 0; background: var(--page); text-align: left;
  font-weight: 400; }
th.method { white-space: normal; overflow-wrap: anywhere; min-width: 7.5rem;
  max-width: 15rem; }
tr.group th { background: var(--card); font-weight: 600; }
tr.group th span { position: sticky; left: .7rem; }
.std { display: inline-block; min-width: 4em; padding-left: .3em; text-align: left;
  color: var(--soft); }
.word { text-align: left; white-space: normal; }
td.lost { color: var(--warn); font-weight: 600; }
.figures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; padding: .8rem .9rem; background: var(--card);
  border-radius: 8px; min-width: 0; }
figure.plot { background: #fff; padding: .4rem; }
figure.plot img { display: block; width: 100%; }
svg.figure { display: block; width: 100%; max-width: 30rem; height: auto; }
svg text { font-size: 12px; fill: var(--ink); stroke: var(--card); stroke-width: 4px;
  paint-order: stroke; }
svg .tick { font-size: 11px; fill: var(--soft); text-anchor: middle; }
svg .value { text-anchor: end; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); }
.mark, .time { stroke: var(--card); stroke-width: 1; }
.base { fill: var(--base); stroke: var(--base); }
.new { fill: var(--new); stroke: var(--new); }
.hm { fill: var(--hm); stroke: var(--hm); }
.mark { stroke: none; }
.ink { stroke: var(--card); }
.bar { fill: none; stroke-width: 1.5; }
.time { fill: var(--base); }
.time.small { fill: none; stroke: var(--base); opacity: .7; }
.legend svg { vertical-align: -2px; }
.legend span { margin-right: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem;
  margin: .4rem 0; font-size: .9rem; }
dt { color: var(--soft); overflow-wrap: anywhere; }
dd { margin: 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card);
  border-radius: 8px; padding: .7rem .9rem; font-size: .85rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
a { color: var(--base); }
@media (max-width: 30rem) {
  th, td { padding: .35rem .5rem; } 
  th.method { min-width: 6.5rem; max-width: 7.5rem; }
  .std { display: block; min-width: 0; text-align: right; font-size: .8rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
img { max-width: 100%; border-radius: 8px; }
@media print { .scroll { overflow: visible; } table { font-size: .7rem; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def whole_page(title: str, body: str) -> str:
    """A page with the report's style that loads nothing.

    Args:
      title: plain text.
      body: HTML.
    """
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)


def bullet_list(texts: Iterable[str], kind: str = "") -> str:
    """A list of plain texts, of the given CSS class."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>'


def html_table(
    titles: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1
) -> str:
    """A table of plain texts, in a box that scrolls by itself where it is wide.

    Args:
      titles: of the columns.
      lines: of texts; with several columns of words the first is a heading over the
        lines that share it.
      words: how many leading columns hold words, the others numbers.
    """
    own = 1 if words > 1 else 0  # the first column of a line itself
    head = "".join(
        f'<th scope="col"{_WORD if n < words - own else ""}>{escape(title)}</th>'
        for n, title in enumerate(titles[own:])
    )
    body = []
    for heading, group in groupby(lines, key=lambda line: line[0]):
        if own:
            body.append(group_line(heading, len(titles) - 1))
        body += [_text_line(line[own:], words - own) for line in group]
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


_WORD = ' class="word"'


def _text_line(texts: Sequence[str], words: int) -> str:
    name = escape(texts[0]).replace("+", "+<wbr>")
    cells = "".join(
        f"<td{_WORD if n < words else ''}>{escape(text)}</td>"
        for n, text in enumerate(texts[1:], 1)
    )
    return f'<tr><th scope="row" class="method">{name}</th>{cells}</tr>'


def group_line(heading: str, width: int) -> str:
    """A line over a whole table that names what follows; `heading` is plain text."""
    return (
        f'<tr class="group"><th colspan="{width}" scope="rowgroup">'
        f"<span>{escape(heading)}</span></th></tr>"
    )
