"""One HTML page out of headings, tables and plots."""

from collections.abc import Sequence
from html import escape

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #1f2430; }
h1, h2 { font-weight: 600; } h3 { font-size: 1em; margin: 1.6em 0 .2em; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .2em .8em .2em 0; text-align: right; }
th:first-child, td:first-child { text-align: left; white-space: pre; } thead th { border-bottom: 1px solid #ccd; }
tbody tr:first-child { font-weight: 600; }
.legend i { display: inline-block; width: 14px; height: 10px; margin: 0 4px; }
.note { color: #667; } svg { width: 100%; height: auto; }
text { font-size: 10px; fill: #667; } .small { font-size: 8px; }
path { fill: none; stroke-width: 1; } path.value { stroke: #2a5db0; } i.value { background: #2a5db0; }
path.yhat { stroke: #d97706; } i.yhat, rect.yhat { background: #d97706; fill: #d97706; }
path.other { stroke: #6b7280; } i.other, rect.other { background: #6b7280; fill: #6b7280; }
polygon.alert { fill: #93c5fd; opacity: .35; } i.alert { background: #c9dffb; }
polygon.inner { fill: #60a5fa; opacity: .35; } i.inner { background: #a7cbfa; }
rect.label { fill: #facc15; opacity: .35; } i.label { background: #fde68a; }
rect.episode { fill: #dc2626; opacity: .55; } i.episode { background: #e56b6b; }
rect.warmup { fill: #e5e7eb; opacity: .6; } i.warmup { background: #e5e7eb; } line.mark { stroke: #dc2626; }
@media (prefers-color-scheme: dark) { body { background: #14171f; color: #dde1ea; } text { fill: #99a; } }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole document; `parts` are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def note(text: str) -> str:
    """Return a sentence beside a table or a plot."""
    return f'<p class="note">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text; the first row counts."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
