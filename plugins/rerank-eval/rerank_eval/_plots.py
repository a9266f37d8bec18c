"""What each figure of a report draws, onto matplotlib's axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Content = Mapping[str, Any]

# Okabe and Ito: told apart by those who see fewer colours, too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_WIDE = 500  # from so many times on, only powers of ten are labelled
_GREY = "#6b7280"


def _models(content: Content) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each model and fusion, with its colour."""
    rows = [row for row in content["rows"] if row["kind"] in {"model", "fusion"}]
    for at, row in enumerate(rows):
        yield row, _COLOURS[at % len(_COLOURS)]


def _main(content: Content, row: Mapping[str, Any]) -> tuple[float, float, float]:
    values = row["measures"][content["measures"][0]]
    return values["mean"], *values["interval"]


def _scatter(
    axes: Axes, content: Content, points: Sequence[tuple[float, Mapping[str, Any], str]]
) -> None:
    """Quality against something of which less is better, on a log axis, with the Pareto front."""
    for x, row, colour in points:
        mean, low, high = _main(content, row)
        axes.errorbar(x, mean, [[mean - low], [high - mean]], fmt="o", color=colour, capsize=3)
        axes.annotate(row["label"], (x, mean), (6, 5), textcoords="offset points", color=colour)
    front, best = [], float("-inf")
    for x, row, _ in sorted(points, key=lambda point: (point[0], -_main(content, point[1])[0])):
        if (mean := _main(content, row)[0]) > best:
            front.append((x, mean))
            best = mean
    axes.step(
        *zip(*front, strict=True), where="post", color=_GREY, linewidth=1, linestyle="--", zorder=0
    )
    first = _main(content, content["rows"][0])[0]
    axes.axhline(first, color=_GREY, linewidth=1)
    axes.annotate(
        "first stage", (0, first), (2, 3), ("axes fraction", "data"), "offset points", color=_GREY
    )
    axes.margins(x=0.25)
    _use_log_axis(axes)
    axes.set_ylabel(content["measures"][0])


def _use_log_axis(axes: Axes) -> None:
    """A log axis with plain numbers: matplotlib's own labels need the math that is off."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415 - an extra

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high / low > _WIDE
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def plot_against_cost(axes: Axes, content: Content) -> bool:
    """Quality against cost; whether there was something to draw, as of all below."""
    points = [
        (row["cost"]["per_1000"], row, colour)
        for row, colour in _models(content)
        if row["cost"] and row["cost"]["per_1000"]
    ]
    if points:
        _scatter(axes, content, points)
        axes.set_xlabel("US dollars per 1,000 queries")
    return bool(points)


def plot_against_latency(axes: Axes, content: Content) -> bool:
    """Quality against the 95th percentile of latency."""
    points = [
        (row["latency"]["p95"], row, colour)
        for row, colour in _models(content)
        if row["latency"] and row["latency"]["p95"]
    ]
    if points:
        _scatter(axes, content, points)
        axes.set_xlabel("p95 latency, seconds")
    return bool(points)


def plot_per_query(axes: Axes, content: Content) -> bool:
    """Every query's difference to the baseline, sorted."""
    name = content["measures"][0]
    by_label = {row["label"]: row for row in content["rows"]}
    against = by_label[content["against"]]["measures"][name]["per_query"]
    drawn = False
    for row, colour in _models(content):
        if row["label"] != content["against"]:
            values = row["measures"][name]["per_query"]
            gaps = sorted((a - b for a, b in zip(values, against, strict=True)), reverse=True)
            axes.step(range(len(gaps)), gaps, where="mid", color=colour, label=row["label"])
            drawn = True
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set_xlabel("queries, each model's sorted by its difference")
    axes.set_ylabel(f"{name}, difference to {content['against']}")
    if drawn:
        axes.legend(frameon=False)
    return drawn


def plot_over_places(axes: Axes, content: Content) -> bool:
    """Quality and recall at more and more places."""
    for row, colour in _all_rows(content):
        curve = row["over_places"]
        style = ":" if row["kind"] == "ceiling" else "-"
        axes.plot(curve["k"], curve["nDCG"], style, color=colour, label=row["label"], marker=".")
        axes.plot(curve["k"], curve["R"], "--", color=colour, linewidth=0.8)
    _use_log_axis(axes)
    axes.set_xlabel("k")
    axes.set_ylabel("nDCG@k (solid), recall@k (dashed)")
    axes.legend(frameon=False)
    return True


def _all_rows(content: Content) -> Iterator[tuple[Mapping[str, Any], str]]:
    yield content["rows"][0], _GREY
    yield from _models(content)
    yield content["rows"][-1], "#111827"


def plot_forest(axes: Axes, content: Content) -> bool:
    """Every comparison with its interval."""
    pairs = content["comparisons"][::-1]
    for at, each in enumerate(pairs):
        decided = each["verdict"] in {"better", "worse"}
        spread = [[each["difference"] - each["low"]], [each["high"] - each["difference"]]]
        colour = _COLOURS[0] if decided else _GREY
        axes.errorbar(each["difference"], at, xerr=spread, fmt="o", color=colour, capsize=3)
    axes.axvline(0, color="#111827", linewidth=1)
    labels = [f"{each['model']}\nagainst {each['against']}" for each in pairs]
    axes.set_yticks(range(len(pairs)), labels, fontsize=7)
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.set_xlabel(f"difference in {content['measures'][0]}")
    return bool(pairs)


def plot_over_depth(axes: Axes, content: Content) -> bool:
    """Quality had only the first candidates been reranked."""
    for row, colour in _all_rows(content):
        curve = row["over_depth"]
        style = ":" if row["kind"] == "ceiling" else "-"
        axes.plot(
            curve["depth"], curve["value"], style, color=colour, label=row["label"], marker="."
        )
    _use_log_axis(axes)
    axes.set_xlabel("candidates that are reranked, the others staying below")
    axes.set_ylabel(content["measures"][0])
    axes.legend(frameon=False)
    return bool(content["rows"][0]["over_depth"]["depth"])


def plot_by_grade(axes: Axes, content: Content) -> bool:
    """Scores by grade."""
    ticks: list[str] = []
    for row, colour in _models(content):
        found = row["scores_by_grade"]
        flat = [value for values in found.values() for value in values]
        low, span = min(flat, default=0.0), max(flat, default=0.0) - min(flat, default=0.0)
        for grade, values in found.items():
            p5, p25, p50, p75, p95 = ((value - low) / (span or 1) for value in values)
            at = len(ticks)
            axes.plot([at, at], [p5, p95], color=colour, linewidth=1)
            axes.plot([at, at], [p25, p75], color=colour, linewidth=6, solid_capstyle="butt")
            axes.plot(at, p50, "o", color="white", markersize=4, markeredgecolor=colour)
            ticks.append(f"{row['label']}\n{grade}")
    axes.set_xticks(range(len(ticks)), ticks, fontsize=6, rotation=30, ha="right")
    axes.set_ylabel("score, scaled within its model")
    return bool(ticks)


def plot_reliability(axes: Axes, content: Content) -> bool:
    """The share of relevant documents over the probability that was said."""
    drawn = [(row, colour) for row, colour in _models(content) if row["reliability"]]
    for row, colour in drawn:
        said, seen, counts = zip(*row["reliability"], strict=True)
        most = max(counts)
        axes.plot(said, seen, color=colour, label=row["label"], linewidth=1)
        axes.scatter(said, seen, [10 + 90 * count / most for count in counts], color=colour)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    axes.set_xlabel("probability of relevance, as said")
    axes.set_ylabel("share of relevant documents, as judged")
    if drawn:
        axes.legend(frameon=False)
    return bool(drawn)
