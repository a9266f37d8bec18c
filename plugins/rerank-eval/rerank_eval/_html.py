"""The report as one HTML page: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from rerank_eval import _text
from rerank_eval._entrants import CEILING, FIRST_STAGE
from rerank_eval._figures import draw_figures

_STYLE = """
:root { color: #1a1c1f; background: #fff; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 84rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.lead { font-size: 1.1rem; max-width: 50rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; border-bottom: 1px solid #dcdfe4; }
th { font-weight: 600; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.edge td { color: #5b626b; }
td.long { text-align: left; }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 12rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); }
figure { margin: .75rem; }
figure svg { width: 100%; height: auto; }
figcaption { font-size: .875rem; color: #444a52; }
details { margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
li { overflow-wrap: anywhere; }
.refused { color: #a3180d; font-weight: 600; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .figures { grid-template-columns: 1fr; } }
"""
_EDGE, _EDGES = ' class="edge"', {FIRST_STAGE, CEILING}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(content: _text.Content) -> str:
    """The whole page."""
    return "".join(f"{line}\n" for line in _lines(content))


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is left, the others are right."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f"<tr{_EDGE if cells[0] in _EDGES else ''}>{''.join(map(_cell, cells))}</tr>"
        for cells in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    long = ' class="long"' if len(text) > 30 else ""  # noqa: PLR2004 - a verdict, not a number
    return f"<td{long}>{escape(text)}</td>"


def _lines(content: _text.Content) -> Iterator[str]:
    title = f"Rerankers on {content['data']['name']}"
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="lead">{escape(_text.headline(content))}</p>'
    yield render_table(*_text.table(content))
    yield f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in _text.findings(content))}</ul>"
    yield from _gates(content)
    yield f"<h2>Differences in {escape(content['measures'][0])}</h2>"
    yield render_table(*_text.comparisons(content))
    yield from _figures(content)
    yield from _extremes(content)
    yield from _failed(content)
    yield "<h2>Conditions</h2><dl>"
    for name, value in _text.conditions(content):
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl></body></html>"


def _gates(content: _text.Content) -> Iterator[str]:
    if content["gates"]:
        yield "<h2>Gates</h2><ul>"
        for gate in content["gates"]:
            word = "passed" if gate["passed"] else '<span class="refused">failed</span>'
            yield f"<li>{word}: {escape(gate['model'])}, {escape(gate['why'])}</li>"
        yield "</ul>"


def _figures(content: _text.Content) -> Iterator[str]:
    figures = draw_figures(content)
    yield "<h2>Figures</h2>"
    if figures is None:
        yield "<p>They need an extra: <code>pip install 'rerank-eval[plots]'</code></p>"
        return
    yield '<div class="figures">'
    for figure in figures:
        yield f"<figure>{figure.svg}<figcaption>{escape(figure.caption)}</figcaption></figure>"
    yield "</div>"


def _extremes(content: _text.Content) -> Iterator[str]:
    yield f"<h2>Worst and best queries against {escape(content['against'])}</h2>"
    for label, found in content["extremes"].items():
        yield f"<details open><summary>{escape(label)}</summary>"
        for name, queries in found.items():
            if not queries:
                continue
            header = [f"{name} queries", "id", "against", "value", "difference"]
            rows = [
                [
                    query["query"],
                    query["query_id"],
                    f"{query['against']:.3f}",
                    f"{query['value']:.3f}",
                    f"{query['difference']:+.3f}",
                ]
                for query in queries
            ]
            yield render_table(header, rows)
        if not any(found.values()):
            yield "<p>No query differs.</p>"
        yield "</details>"


def _failed(content: _text.Content) -> Iterator[str]:
    rows = [
        [row["label"], each["query_id"], str(each["repeat"] + 1), each["error"]]
        for row in content["rows"]
        if row["kind"] == "model"
        for each in row["failed"]
    ]
    if rows:
        yield "<h2>Failed calls</h2>"
        yield render_table(["", "query", "run", "error"], rows)
