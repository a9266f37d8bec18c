"""The plots of `docs/performance.md`, drawn by hand: SVG needs no library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import async_clients, clients
from benchmarks.concurrency import LATENCY_SECONDS, LEVELS

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 80, 600, 60, 430
LINE = 17  # between two labels
COLOURS = {
    "ours": "#0b5fff",
    "aiohttp": "#00a3a3",
    "socket": "#777777",
    "asyncio": "#777777",
    "httpx": "#d9480f",
    "httpx_orjson": "#f08c00",
    "ours_pyreqwest": "#6ea8fe",
    "ours_aiohttp": "#9ec5fe",
    "httpx_each": "#f08c00",
    "litellm": "#c2255c",
    "rerankers": "#7048e8",
    "cohere": "#2b8a3e",
    "voyageai": "#5c4033",
}


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        label: What stands beside its end.
        colour: Its colour.
        points: From left to right.
        is_thick: Whether it is ours.
        dashes: Whether, and how, it is broken.
    """

    label: str
    colour: str
    points: Sequence[tuple[float, float]]
    is_thick: bool = False
    dashes: str = "none"


@dataclass(frozen=True)
class Plot:
    """Lines on two logarithmic axes.

    Attributes:
        title: What is drawn.
        across: The name of the axis that runs across.
        up: The name of the one that runs up.
        lines: What is drawn, the last on top.
        ticks: Where the axis that runs across has numbers.
    """

    title: str
    across: str
    up: str
    lines: Sequence[Line]
    ticks: Sequence[int] = field(default_factory=tuple)

    def _bounds(self) -> tuple[float, float]:
        values = [value for line in self.lines for _, value in line.points]
        return floor(log10(min(values)) * 2) / 2, ceil(log10(max(values)) * 2) / 2

    def x(self, value: float) -> float:
        """Where a value lies across."""
        low, high = log10(min(self.ticks)), log10(max(self.ticks))
        return LEFT + 20 + (log10(value) - low) / (high - low) * (RIGHT - LEFT - 40)

    def y(self, value: float) -> float:
        """Where a value lies up."""
        low, high = self._bounds()
        return BOTTOM - (log10(value) - low) / (high - low) * (BOTTOM - TOP)

    def draw(self) -> str:
        """The plot as an SVG document."""
        size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        font = 'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            _text(LEFT, 30, self.title, 'font-size="16" font-weight="bold"'),
            *self._draw_axes(),
            *(part for line in self.lines for part in self._draw_line(line)),
            *self._draw_labels(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _draw_axes(self) -> Iterable[str]:
        low, high = self._bounds()
        for power in range(floor(low), ceil(high) + 1):
            for digit in (1, 2, 5):
                value = digit * 10**power
                if not low <= log10(value) <= high:
                    continue
                at, shade = self.y(value), "#bbb" if digit == 1 else "#e8e8e8"
                yield f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="{shade}"/>'
                yield _text(LEFT - 8, at + 4, f"{value:,.10g}", 'text-anchor="end"')
        for tick in self.ticks:
            at = self.x(tick)
            yield f'<path d="M{at:.1f} {TOP}V{BOTTOM}" stroke="#e8e8e8"/>'
            yield _text(at, BOTTOM + 20, f"{tick:,}", 'text-anchor="middle"')
        yield f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#666"/>'
        yield _text((LEFT + RIGHT) / 2, BOTTOM + 46, self.across, 'text-anchor="middle"')
        middle = (TOP + BOTTOM) / 2
        turned = f'text-anchor="middle" transform="rotate(-90 20 {middle})"'
        yield _text(20, middle, self.up, turned)

    def _draw_line(self, line: Line) -> Iterable[str]:
        width = 3.5 if line.is_thick else 1.7
        path = "L".join(f"{self.x(at):.1f} {self.y(value):.1f}" for at, value in line.points)
        yield (
            f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="{width}"'
            f' stroke-dasharray="{line.dashes}"/>'
        )
        for at, value in line.points if line.dashes == "none" else ():
            yield (
                f'<circle cx="{self.x(at):.1f}" cy="{self.y(value):.1f}" r="{width + 1}"'
                f' fill="{line.colour}"/>'
            )

    def _draw_labels(self) -> Iterable[str]:
        """The lines' names, in the order in which they end, with a thin line to each end."""
        ends = sorted(self.lines, key=lambda line: self.y(line.points[-1][1]))
        places: list[float] = []
        for line in ends:
            wanted = self.y(line.points[-1][1])
            places.append(max(wanted, places[-1] + LINE) if places else max(wanted, TOP))
        for back in range(len(places)):  # those at the bottom move up again
            at = len(places) - 1 - back
            places[at] = min(places[at], BOTTOM - back * LINE)
        for line, place in zip(ends, places, strict=True):
            end = line.points[-1]
            yield (
                f'<path d="M{self.x(end[0]) + 6:.1f} {self.y(end[1]):.1f}L{RIGHT + 14} {place:.1f}"'
                f' stroke="{line.colour}" stroke-width="0.7" fill="none"/>'
            )
            weight = "bold" if line.is_thick else "normal"
            style = f'fill="{line.colour}" font-weight="{weight}"'
            yield _text(RIGHT + 18, place + 4, line.label, style)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _lines_of(
    found: Mapping[str, Any], known: Mapping[str, clients.Client], kind: str, scale: float
) -> list[Line]:
    """A line for each client, ours last."""
    lines = []
    for name in sorted(known, key=lambda name: name.startswith("ours")):
        if name not in found or name not in COLOURS:
            continue
        points = [(float(at), median(figures[kind]) * scale) for at, figures in found[name].items()]
        is_ours, label = name.startswith("ours"), known[name].label.replace("*", "")
        lines.append(Line(label.replace("`", ""), COLOURS[name], points, is_ours))
    return lines


def draw_all(found: Mapping[str, Any], folder: Path) -> None:
    """Draw what there are figures for."""
    if "concurrency" in found:
        kind = "requests_per_second"
        bound = Line(
            "the server's 20 ms alone",
            "#999999",
            [(level, level / LATENCY_SECONDS) for level in LEVELS if level < max(LEVELS)],
            dashes="5 5",
        )
        plot = Plot(
            "Requests per second, 100 documents each, server latency 20 ms, one core",
            "calls under way at once",
            "requests per second",
            [bound, *_lines_of(found["concurrency"], async_clients.CLIENTS, kind, 1)],
            LEVELS,
        )
        (folder / "performance-concurrency.svg").write_text(plot.draw(), encoding="utf-8")
    if "blocking" in found:
        plot = Plot(
            "Client's processor time for one blocking call",
            "documents of 100 words",
            "milliseconds",
            _lines_of(found["blocking"], clients.CLIENTS, "cpu_us", 1e-3),
            (10, 100, 1000),
        )
        (folder / "performance-cpu.svg").write_text(plot.draw(), encoding="utf-8")
