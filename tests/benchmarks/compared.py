"""The table of the README: rerank-core beside what people use instead, with date and versions."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

OTHERS = ("litellm", "rerankers", "cohere", "voyageai")


def list_compared(found: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """When and where it was measured, the table's head, and its rows.

    Args:
        found: Everything that was measured.
    """
    machine, installed = found["machine"], found["counts"]["footprint"]
    heads = [f"{name} {installed[f'bench_{name}']['versions'][name]}" for name in OTHERS]
    startup = found["startup"]
    rows = {
        "CPU of a call, \u00b5s": [
            median(found["blocking"][name]["100"]["cpu_us"]) for name in ("ours_read", *OTHERS)
        ],
        "requests a second, 64 at once": [
            median(found["concurrency"][name]["64"]["requests_per_second"])
            for name in ("ours", *OTHERS)
        ],
        "CPU of the import, ms": [
            median(
                own - bare
                for own, bare in zip(
                    startup[f"import:{name}"]["cpu_ms"],
                    startup[f"bare:{name}"]["cpu_ms"],
                    strict=True,
                )
            )
            for name in ("ours", *OTHERS)
        ],
        "installed, MB": [installed[f"bench_{name}"]["mb"] for name in ("ours", *OTHERS)],
        "distributions": [
            installed[f"bench_{name}"]["distributions"] for name in ("ours", *OTHERS)
        ],
    }
    when = (
        f"Measured {machine['date']} on {machine['cores']} cores ({machine['processor']}),"
        f" {machine['system']}, Python {machine['python']}."
    )
    return (
        when,
        ["", "rerank-core", *heads],
        [[what, *map(_tell, row)] for what, row in rows.items()],
    )


def _tell(value: float) -> str:
    """Three digits that mean something, and none after the point from a hundred on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
