"""What is promised about speed, and what was found: ratios within a round, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Goal:
    """One promise and its figures.

    Attributes:
        what: What is measured.
        must: The bound that has to hold.
        goal: The bound that is aimed at.
        figures: One for each round.
        is_floor: Whether more is better.
    """

    what: str
    must: float
    goal: float
    figures: Sequence[float]
    is_floor: bool = False

    @property
    def median(self) -> float:
        """What counts."""
        return median(self.figures)

    @property
    def worst(self) -> float:
        """What the worst round shows."""
        return min(self.figures) if self.is_floor else max(self.figures)

    @property
    def verdict(self) -> str:
        """How far it was reached, by the median."""
        sign = -1 if self.is_floor else 1
        if sign * self.median <= sign * self.goal:
            return "goal"
        return "must" if sign * self.median <= sign * self.must else "**missed**"


def divide(over: Iterable[float], under: Iterable[float]) -> list[float]:
    """The ratio of each round that both took part in."""
    return [a / b for a, b in zip(over, under, strict=False)]


def list_goals(found: Mapping[str, Any]) -> list[Goal]:
    """Every promise for which there are figures."""
    makers = {
        "blocking": _of_blocking,
        "concurrency": _of_concurrency,
        "startup": _of_startup,
        "counts": _of_counts,
    }
    return [goal for name, make in makers.items() if name in found for goal in make(found[name])]


_BLOCKING = {
    "httpx_orjson": ((1.15, 1.3, 2.0), (1.0, 1.1, 1.4)),
    "httpx": ((1.0, 0.85, 0.7), (0.9, 0.65, 0.4)),
    "litellm": ((1 / 3, 1 / 3, 1 / 3), (1 / 3.5, 1 / 3.5, 1 / 5)),
}
_LABELS = {
    "httpx_orjson": "httpx by hand, orjson, pairs",
    "httpx": "httpx, `json=`",
    "litellm": "litellm",
}


def _of_blocking(found: Mapping[str, Any]) -> Iterable[Goal]:
    for peer, (musts, goals) in _BLOCKING.items():
        for count, must, goal in zip(("10", "100", "1000"), musts, goals, strict=True):
            ours, other = (found[name][count]["cpu_us"] for name in ("ours_read", peer))
            what = f"CPU of a blocking call with {int(count):,} documents / {_LABELS[peer]}"
            yield Goal(what, must, goal, divide(ours, other))


_CONCURRENCY = (
    ("litellm", "64", 1.8, 2.9),
    ("litellm", "256", 1.8, 2.9),
    ("httpx", "64", 1.5, 2),
    ("httpx", "256", 6, 10),
)
_ASYNC_LABELS = {"httpx": "one `httpx.AsyncClient` as it comes, orjson", "litellm": "litellm"}


def _of_concurrency(found: Mapping[str, Any]) -> Iterable[Goal]:
    for peer, level, must, goal in _CONCURRENCY:
        rates = (found[name][level]["requests_per_second"] for name in ("ours", peer))
        what = f"Requests/s at {level} concurrent / {_ASYNC_LABELS[peer]}"
        yield Goal(what, must, goal, divide(*rates), is_floor=True)
    high, low = (found["ours"][level]["cpu_us"] for level in ("1024", "64"))
    yield Goal("CPU of a call, 1,024 concurrent / 64 concurrent", 1.15, 1.0, divide(high, low))


def list_shown(found: Mapping[str, Any]) -> list[Goal]:
    """What hangs on others' code, and is shown beside a goal; nothing has to hold."""
    section = found.get("concurrency", {})
    return [
        Goal(
            f"Requests/s at {level} concurrent / litellm, with pyreqwest's transport",
            0,
            4.5,
            divide(*(section[name][level]["requests_per_second"] for name in pair)),
            is_floor=True,
        )
        for pair in (("ours_pyreqwest", "litellm"),)
        if {*pair} <= {*section}
        for level in ("64", "256")
    ]


def _of_startup(found: Mapping[str, Any]) -> Iterable[Goal]:
    added = {
        name: [
            a - b
            for a, b in zip(
                found[f"import:{name}"]["cpu_ms"], found[f"bare:{name}"]["cpu_ms"], strict=True
            )
        ]
        for name in ("ours", "litellm")
    }
    first = {name: found[f"first:{name}"]["cpu_ms"] for name in ("ours", "httpx")}
    yield Goal("CPU added by `import` / litellm", 1 / 30, 1 / 60, divide(*added.values()))
    what = "CPU from the start to the first answer / httpx by hand"
    yield Goal(what, 1.4, 1.2, divide(first["ours"], first["httpx"]))


def _of_counts(found: Mapping[str, Any]) -> Iterable[Goal]:
    garbage, split = found["garbage"], found["split"]
    what = "Cyclic garbage of a blocking call, objects (must: no more than httpx's own)"
    yield Goal(what, garbage["httpx_orjson"], 0, [garbage["ours"]])
    peaks = [split[name]["peak_mib"] for name in ("ours", "httpx_orjson")]
    what = "Peak memory of 10,000 documents in 10 requests / httpx by hand"
    yield Goal(what, 1.2, 1.0, [peaks[0] / peaks[1]])
