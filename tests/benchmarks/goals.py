"""What is promised about speed, and what was found: ratios and counts, and one time.

The time is that of the layer alone, in microseconds: it has nothing to be divided by.
"""

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
        "instructions": _of_instructions,
    }
    return [goal for name, make in makers.items() if name in found for goal in make(found[name])]


_BLOCKING = {
    "httpx": ((1.0, 0.7, 0.35), (0.65, 0.4, 0.17)),
    "httpx_orjson": ((1.05, 1.2, 1.3), (0.72, 0.75, 0.85)),
    "litellm": ((1 / 3, 1 / 3, 1 / 4), (1 / 5, 1 / 5, 1 / 6)),
}
_LABELS = {"httpx": "httpx, `json=`", "httpx_orjson": "httpx, orjson", "litellm": "litellm"}


def _of_blocking(found: Mapping[str, Any]) -> Iterable[Goal]:
    for peer, (musts, goals) in _BLOCKING.items():
        for count, must, goal in zip(("10", "100", "1000"), musts, goals, strict=True):
            ours, other = (found[name][count]["cpu_us"] for name in ("ours", peer))
            what = f"CPU of a blocking call with {int(count):,} documents / {_LABELS[peer]}"
            yield Goal(what, must, goal, divide(ours, other))
    if "layer" in found:
        what = "CPU \u00b5s of a blocking call with 10 documents, without transport"
        yield Goal(what, 20, 12, found["layer"]["10"]["cpu_us"])


def list_without_checks(found: Mapping[str, Any]) -> list[Goal]:
    """The same promises, had core looked at no document, index or score, for what is measured."""
    bare = {
        name: {kind: section[kind] for kind in section if kind != "layer"}
        | {"ours": section["bare"]}
        for name, section in found.items()
        if name in {"blocking", "concurrency"} and "bare" in section
    }
    return list_goals(bare)


_CONCURRENCY = (
    ("litellm", "64", 4, 7),
    ("litellm", "256", 4, 7),
    ("httpx_unlimited", "64", 10, 16),
    ("httpx_unlimited", "256", 15, 25),
    ("httpx", "64", 10, 16),
    ("httpx", "256", 15, 25),
)
_ASYNC_LABELS = {
    "httpx": "one `httpx.AsyncClient` as it comes",
    "httpx_unlimited": "one `httpx.AsyncClient` without limits",
    "litellm": "litellm",
}


def _of_concurrency(found: Mapping[str, Any]) -> Iterable[Goal]:
    for peer, level, must, goal in _CONCURRENCY:
        rates = (found[name][level]["requests_per_second"] for name in ("ours", peer))
        what = f"Requests/s at {level} concurrent / {_ASYNC_LABELS[peer]}"
        yield Goal(what, must, goal, divide(*rates), is_floor=True)
    high, low = (found["ours"][level]["cpu_us"] for level in ("1024", "64"))
    yield Goal("CPU of a call, 1,024 concurrent / 64 concurrent", 1.4, 1.15, divide(high, low))


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
    first = {name: found[f"first:{name}"]["cpu_ms"] for name in ("ours", "httpx", "litellm")}
    discovery = (found[f"discovery:{name}"]["discovery_ms"] for name in ("many", "alone"))
    yield Goal("CPU added by `import` / litellm", 1 / 40, 1 / 100, divide(*added.values()))
    what = "CPU from the start to the first answer / "
    yield Goal(f"{what}httpx", 1.5, 1.2, divide(first["ours"], first["httpx"]))
    yield Goal(f"{what}litellm", 1 / 12, 1 / 17, divide(first["ours"], first["litellm"]))
    yield Goal("CPU of a discovery, 50 plugins / 1", 1.5, 1.2, divide(*discovery))


def _of_counts(found: Mapping[str, Any]) -> Iterable[Goal]:
    connections, split = found["connections"], found["split"]
    peaks = (split[name]["peak_mib"] for name in ("ours", "httpx_orjson"))
    installed = found["footprint"]["bench_ours"]
    yield Goal("Cyclic garbage of a blocking call, objects", 49, 0, [found["garbage"]["ours"]])
    what = "MiB more after 1,000 calls of 1,000 documents"
    yield Goal(what, 4, 1, [found["growth"]["ours"]])
    what = "Peak memory of 10,000 documents in 10 requests / httpx by hand"
    yield Goal(what, 1.3, 1.1, [next(peaks) / next(peaks)])
    for way, most, text in (
        ("sequential", 1, "of 20 calls in turn"),
        ("concurrent", 64, "of 3 times 64 calls at once"),
        ("threads", 8, "of 8 threads and then 8 others, 20 calls each"),
    ):
        yield Goal(f"Connections {text}", most, most, [connections[way]["connections"]])
    what = "Connections left open by 5 event loops that ended"
    yield Goal(what, 0, 0, [connections["loops"]["open"]])
    what = "httpx, ssl, asyncio and cattrs among the modules after `import rerank_core`"
    yield Goal(what, 0, 0, [len({"httpx", "ssl", "asyncio", "cattrs"} & {*found["modules"]})])
    what = "`pip install rerank-core rerank-cohere`, "
    yield Goal(f"{what}distributions", 14, 12, [installed["distributions"]])
    yield Goal(f"{what}MB", 4, 3.2, [installed["mb"]])


def _of_instructions(found: Mapping[str, Any]) -> Iterable[Goal]:
    for count, must, goal in (("10", 1.05, 0.75), ("100", 1.2, 0.85)):
        what = f"Instructions of a blocking call with {count} documents / httpx, orjson"
        figure = found["ours"][count] / found["httpx_orjson"][count]
        yield Goal(what, must, goal, [figure])
    what = "Instructions of a call with 10 documents, without transport"
    yield Goal(what, 110_000, 86_000, [found["layer"]["10"]])
