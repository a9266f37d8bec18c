"""The words and cells of a report, before they are drawn on a terminal or a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from typing import Any

Content = Mapping[str, Any]
Cells = tuple[list[str], list[list[str]]]

_NOTHING = "-"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MOST_WARNINGS = 5


def table(content: Content) -> Cells:
    """The table: header and rows."""
    measures = content["measures"]
    cutoffs = [*content["rows"][0]["judged"]]
    judged = [f"judged@{cutoff}" for cutoff in cutoffs]
    show_repeats = content["repeat"] > 1
    header = ["", measures[0], "95 %", *(["spread"] if show_repeats else []), *measures[1:]]
    header += [*judged, "p50", "p95", "p99", "first", "$ / 1,000", "failed"]
    rows = []
    for row in content["rows"]:
        values = [row["measures"][name] for name in measures]
        low, high = values[0]["interval"]
        cells = [row["label"], f"{values[0]['mean']:.4f}", f"{low:.3f} to {high:.3f}"]
        if show_repeats:
            spread = values[0]["spread"]
            cells.append(f"{spread[0]:.4f} to {spread[1]:.4f}" if spread else _NOTHING)
        cells += [f"{each['mean']:.4f}" for each in values[1:]]
        cells += [f"{row['judged'][cutoff]:.2f}" for cutoff in cutoffs]
        latency = row["latency"] or {}
        cells += [seconds(latency.get(name)) for name in ("p50", "p95", "p99", "first")]
        cells += [cost(row), str(len(row["failed"])) if row["kind"] == "model" else _NOTHING]
        rows.append(cells)
    return header, rows


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None:
        return _NOTHING
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def cost(row: Content) -> str:
    """Dollars for 1,000 queries; `unknown` where it is not known of every answer."""
    found = row["cost"]
    if found is None:
        return _NOTHING
    if found["per_1000"] is not None:
        return f"{found['per_1000']:.4g}"
    if found["known"]:
        return f"unknown ({found['known']} of {found['known'] + found['unknown']} known)"
    return "unknown"


def comparisons(content: Content) -> Cells:
    """The tests, against the baseline or of every pair."""
    header = ["", "against", "difference", "95 %", "p (Holm)", "win / tie / loss", "verdict"]
    rows = [
        [
            each["model"],
            each["against"],
            f"{each['difference']:+.4f}",
            f"{each['low']:+.4f} to {each['high']:+.4f}",
            p_value(each["p_holm"]),
            f"{each['wins']} / {each['ties']} / {each['losses']}",
            each["verdict"],
        ]
        for each in content["comparisons"]
    ]
    return header, rows


def p_value(p: float) -> str:
    """A p-value, which is never 0."""
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"  # noqa: PLR2004 - what four places show


def headline(content: Content) -> str:
    """The finding in a sentence or two."""
    name = content["measures"][0]
    models = [row for row in content["rows"] if row["kind"] in {"model", "fusion"}]
    ceiling = content["rows"][-1]["measures"][name]["mean"]
    if not models:
        return f"The candidates allow {name} of {ceiling:.4f} at most."
    best = max(models, key=lambda row: row["measures"][name]["mean"])
    mean = best["measures"][name]["mean"]
    first = content["rows"][0]["measures"][name]["mean"]
    text = (
        f"Of the models, {best['label']} has the highest {name}, {mean:.4f}; the first stage has"
        f" {first:.4f}, and the candidates allow {ceiling:.4f}."
    )
    against = content["against"]
    pairs = {(each["model"], each["against"]): each for each in content["comparisons"]}
    each = pairs.get((best["label"], against))
    if each is None:
        return text
    change = f"{each['difference']:+.4f}, 95 % {each['low']:+.4f} to {each['high']:+.4f}"
    return f"{text} Against {against}: {change}, {each['verdict']}."


def findings(content: Content) -> Iterator[str]:
    """What a reader of the table must know."""
    name = content["measures"][0]
    rows = content["rows"]
    first = rows[0]["measures"][name]["mean"]
    for row in rows[1:-1]:
        mean = row["measures"][name]["mean"]
        label = row["label"]
        if mean <= first:
            yield f"{label} does not beat the order it was given ({mean:.4f}, {first:.4f})."
        yield from (f"{label}: {text}" for text in _about_row(row, name))
    shares = [share for row in rows[1:-1] for share in row["judged"].values()]
    if shares and min(shares) < 1:
        yield (
            f"Only a share of the documents was judged (judged, from {min(shares):.2f}). Unjudged"
            " ones count as not relevant, which favours whatever the judged ones were found with."
        )
    for note in content["data"]["notes"]:
        yield f"{content['data']['name']}: {note}."


def _about_row(row: Content, name: str) -> Iterator[str]:
    if row["missing"] > 0:
        yield f"{row['missing']} answers are missing, and count 0."
    if row["kind"] == "model" and row["failed"]:
        yield f"{len(row['failed'])} calls failed; they count 0 in the means."
    if row["tied"] and row["expected"] is not None:
        yield (
            f"in {row['tied']:.0%} of the queries documents of equal score stand on both sides of"
            f" the cut; over all their orders {name} is {row['expected']:.4f}."
        )
    if row["empty"]:
        yield f"{row['empty']} queries came back empty."
    if row["note"]:
        yield f"{row['note']}."
    merged = merge_warnings(row["warnings"])
    yield from (f"in {count} responses: {text}" for text, count in merged[:_MOST_WARNINGS])
    if len(merged) > _MOST_WARNINGS:
        yield f"{len(merged) - _MOST_WARNINGS} further warnings stand in report.json."


def merge_warnings(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Warnings that differ in their numbers alone as one, with the range of each number."""
    alike: dict[str, list[str]] = {}
    for text in counts:
        alike.setdefault(_NUMBER.sub("#", text), []).append(text)
    merged = []
    for texts in alike.values():
        words = _NUMBER.split(texts[0])
        columns = zip(*map(_NUMBER.findall, texts), strict=True)
        numbers = [_show_range(*sorted(each, key=float)[:: len(each) - 1 or 1]) for each in columns]
        text = "".join(chain.from_iterable(zip_longest(words, numbers, fillvalue="")))
        merged.append((text, sum(counts[each] for each in texts)))
    return merged


def _show_range(low: str, high: str = "") -> str:
    return low if high in {"", low} else f"{low} to {high}"


def conditions(content: Content) -> Iterator[tuple[str, str]]:
    """Under which conditions all this was found."""
    data = content["data"]
    yield "data", f"{data['name']}: {data['queries']} queries, {data['pairs']} candidates"
    yield "candidates", f"{data['candidates']}; checksum {data['checksum']}"
    yield "tests", _describe_tests(content)
    yield (
        "latency",
        "wall time of a call, retries included; the first call of a model apart"
        + "".join(
            f"; {row['label']}: n={row['latency']['n']}, {row['latency']['waited']:.3g} s of waits"
            for row in content["rows"]
            if row["kind"] == "model" and row["latency"]
        ),
    )
    for run in content["runs"]:
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        yield f"asked {run['started']}", f"{run['concurrency']} at a time; {versions}"
    for model in content["models"]:
        about = ", ".join(f"{name} {value}" for name, value in model.items() if name != "label")
        if about:
            yield model["label"], about


def _describe_tests(content: Content) -> str:
    return (
        f"paired permutation test on {content['measures'][0]} ({content['draws']:,} draws, exact"
        f" for few queries), Holm over {len(content['comparisons'])} comparisons, alpha"
        f" {content['alpha']:g}; bootstrap over queries ({content['resamples']:,} resamples); over"
        f" the queries that all models answered; seed {content['seed']}"
    )


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{char: f"\\{char}" for char in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def to_latex(content: Content) -> str:
    """The table as `tabular`."""
    header, rows = table(content)
    lines = [" & ".join(cell.translate(_LATEX) for cell in cells) for cells in (header, *rows)]
    columns = "l" + "r" * (len(header) - 1)
    body = " \\\\\n".join(lines[1:])
    start = f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{lines[0]} \\\\\n\\hline\n"
    return f"{start}{body} \\\\\n\\hline\n\\end{{tabular}}\n"
