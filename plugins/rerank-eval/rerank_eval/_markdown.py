"""The report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rerank_eval import _text

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


def render(content: _text.Content) -> str:
    """The whole report."""
    return "\n".join(_lines(content)) + "\n"


def escape(text: str) -> str:
    """Text that is shown as it stands, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; the first column is left, the others are right."""
    yield f"| {' | '.join(map(escape, header))} |"
    yield f"| --- |{' ---: |' * (len(header) - 1)}"
    for cells in rows:
        yield f"| {' | '.join(map(escape, cells))} |"


def _lines(content: _text.Content) -> Iterator[str]:
    yield f"# Rerankers on {escape(content['data']['name'])}"
    yield from ("", escape(_text.headline(content)), "")
    yield from render_table(*_text.table(content))
    yield ""
    for finding in _text.findings(content):
        yield f"- {escape(finding)}"
    gates = [
        f"{'passed' if gate['passed'] else 'FAILED'}: {gate['model']}, {gate['why']}"
        for gate in content["gates"]
    ]
    yield from _section("Gates", gates)
    yield from ("", f"## Differences in {escape(content['measures'][0])}", "")
    yield from render_table(*_text.comparisons(content))
    for label, found in content["extremes"].items():
        for name, queries in found.items():
            title = f"{name.capitalize()} queries of {label} against {content['against']}"
            yield from _section(title, map(_query, queries))
    failed = [
        f"{row['label']}, query {each['query_id']}: {each['error']}"
        for row in content["rows"]
        if row["kind"] == "model"
        for each in row["failed"]
    ]
    yield from _section("Failed calls", failed)
    conditions = (f"{name}: {value}" for name, value in _text.conditions(content))
    yield from _section("Conditions", conditions)


def _query(query: Mapping[str, Any]) -> str:
    return f"{query['against']:.3f} to {query['value']:.3f}: {query['query']} ({query['query_id']})"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading with a list; nothing where the list is empty."""
    if listed := [*lines]:
        yield from ("", f"## {escape(title)}", "")
        yield from (f"- {escape(line)}" for line in listed)
