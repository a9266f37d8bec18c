"""The figures of a report, as SVG that is the same for the same report, byte for byte."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from rerank_eval import _plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Content = Mapping[str, Any]

_SETTINGS: Mapping[Any, Any] = {
    "svg.hashsalt": "rerank-eval",
    "text.parse_math": False,  # a model's name may have a dollar sign
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
}
_ID = re.compile(r'(\bid="|href="#|url\(#)')


@frozen
class Drawn:
    """A figure.

    Attributes:
        name: What it is called in a file's name.
        caption: What it shows.
        svg: The picture; its ids are its own, so that several stand in one page.
    """

    name: str
    caption: str
    svg: str


def draw_figures(content: Content) -> list[Drawn] | None:
    """Every figure that the report has values for; `None` without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    content = _printable(content)
    with mpl.rc_context(dict(_SETTINGS)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        return [*filter(None, (_draw(content, *each) for each in _FIGURES))]


def _printable(value: Any) -> Any:
    """The values, with texts that a picture can hold."""
    if isinstance(value, str):
        return "".join(char if char.isprintable() else " " for char in value)
    if isinstance(value, Mapping):
        return {name: _printable(inner) for name, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value


def _draw(
    content: Content, name: str, caption: str, plot: Callable[[Axes, Content], bool]
) -> Drawn | None:
    # Not pyplot: that keeps every figure for the whole process.
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    if not plot(figure.add_subplot(), content):
        return None
    stream = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": caption}
    figure.savefig(stream, format="svg", metadata=metadata)
    svg = stream.getvalue()
    return Drawn(name, caption, _ID.sub(rf"\g<1>{name}-", svg[svg.index("<svg") :]).strip())


_FIGURES: tuple[tuple[str, str, Callable[[Axes, Content], bool]], ...] = (
    (
        "cost",
        "Quality against cost, with 95 % intervals; dashed, what nothing beats",
        _plots.plot_against_cost,
    ),
    (
        "latency",
        "Quality against p95 latency, with 95 % intervals; dashed, what nothing beats",
        _plots.plot_against_latency,
    ),
    ("forest", "Differences with their 95 % intervals; blue where decided", _plots.plot_forest),
    ("queries", "The difference of every query", _plots.plot_per_query),
    ("places", "Quality and recall at more and more places", _plots.plot_over_places),
    (
        "depth",
        "Quality had only the first candidates been reranked (listwise models: about)",
        _plots.plot_over_depth,
    ),
    ("grades", "Scores by grade: median, middle half, 5 to 95 %", _plots.plot_by_grade),
    (
        "reliability",
        "Share of relevant documents over the probability; dashed, where the two are equal",
        _plots.plot_reliability,
    ),
)
