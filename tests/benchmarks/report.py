"""The tables of `docs/performance.md` and of the README, each between a pair of comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import floor, log10
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import async_clients, clients
from benchmarks.compared import list_compared
from benchmarks.goals import Goal, divide, list_goals, list_shown
from benchmarks.profiles import COLLECTING
from benchmarks.startup import FIRST, IMPORTS

Row = Sequence[str]
INSTALLED = {
    "bench_ours": "**rerank-core rerank-cohere**",
}


def number(value: float) -> str:
    """A number with three digits that mean something."""
    if value == 0:
        return "0"
    digits = max(0, 2 - floor(log10(abs(value))))
    shown = f"{value:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def make_table(head: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tell_machine(found: Mapping[str, Any]) -> str:
    """Where and when, and with which versions."""
    machine, installed = found["machine"], found["counts"]["footprint"]
    names = {
        "bench_ours": ("httpx", "httpcore", "orjson"),
        "bench_transports": ("pyreqwest", "httpx-aiohttp"),
    }
    versions = [
        f"{name} {details['versions'][name]}"
        for environment, details in installed.items()
        for name in names.get(environment, [environment.removeprefix("bench_")])
        if name in details["versions"]
    ]
    busy = ""
    if machine["load"] > 1:
        busy = (
            f"\n\n**The machine was busy: a load of {machine['load']} at the start."
            " Requests per second say little.**"
        )
    return (
        f"{machine['date']}, {machine['system']}, {machine['cores']} cores,"
        f" {machine['processor']}, Python {machine['python']};\n{', '.join(versions)}.{busy}"
    )


def _tell(value: float, goal: Goal) -> str:
    """A bound or a figure; where the bound is one part of so many, as such a fraction."""
    parts = 1 / goal.must if goal.must else 0
    is_fraction = parts >= 3 and abs(parts - round(parts)) < 1e-9
    return f"1/{number(1 / value)}" if is_fraction and value > 0 else number(value)


def tell_goals(found: Mapping[str, Any]) -> str:
    """What is promised, and what was found."""
    rows = []
    for goal in list_goals(found):
        sign = "\u2265 " if goal.is_floor else "\u2264 "
        bounds = (f"{sign}{_tell(bound, goal)}" for bound in (goal.must, goal.goal))
        figures = (_tell(figure, goal) for figure in (goal.median, goal.worst))
        rows.append([goal.what, *bounds, *figures, goal.verdict])
    for shown in list_shown(found):
        figures = (number(figure) for figure in (shown.median, shown.worst))
        verdict = shown.verdict.replace("must", "shown")
        rows.append([shown.what, "-", f"\u2265 {number(shown.goal)}", *figures, verdict])
    return make_table(["what", "must", "goal", "median", "worst", "reached"], rows)


def tell_blocking(found: Mapping[str, Any]) -> str:
    """Processor time of each client, and ours as a share of it."""
    section = found["blocking"]
    counts = [*section["ours"]]
    rows = []
    for name, figures in section.items():
        times = [number(median(figures[count]["cpu_us"])) for count in counts]
        walls = [number(median(figures[count]["wall_us"])) for count in counts]
        shares = [
            median(divide(section["ours"][count]["cpu_us"], figures[count]["cpu_us"]))
            for count in counts
        ]
        label = clients.CLIENTS[name].label
        cells = [" / ".join(times), " / ".join(map(number, shares)), " / ".join(walls)]
        rows.append([label, *cells])
    head = ["10 / 100 / 1,000 documents", "CPU \u00b5s", "rerank-core's CPU / this", "wall \u00b5s"]
    return make_table(head, rows)


def tell_concurrency(found: Mapping[str, Any]) -> str:
    """Requests per second of each client at each level, and its processor time."""
    section = found["concurrency"]
    levels = [*section["ours"]]
    rows = []
    for name, figures in section.items():
        rates = [
            _tell_rounds(figures[level], section["ours"][level]) if level in figures else "-"
            for level in levels
        ]
        costs = [
            number(median(figures[level]["cpu_us"])) if level in figures else "-"
            for level in ("64", "1024")
        ]
        rows.append([async_clients.CLIENTS[name].label, *rates, *costs])
    head = [f"{int(level):,} at once" for level in levels]
    costs = ["CPU \u00b5s, 64", "CPU \u00b5s, 1,024"]
    return make_table(["requests per second", *head, *costs], rows)


def _tell_rounds(figures: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """A rate, and in how many rounds it was measured where that is fewer than ours."""
    kind = "requests_per_second"
    rounds = len(figures[kind])
    few = f" ({rounds} round{'s' * (rounds > 1)})" if rounds < len(ours[kind]) else ""
    return f"{number(median(figures[kind]))}{few}"


def tell_startup(found: Mapping[str, Any]) -> str:
    """What importing and a first answer cost."""
    section = found["startup"]
    rows = []
    for name in dict.fromkeys([*IMPORTS, *FIRST]):
        cells = ["-"] * 3
        if name in IMPORTS:
            bare, own = section[f"bare:{name}"], section[f"import:{name}"]
            added = [a - b for a, b in zip(own["cpu_ms"], bare["cpu_ms"], strict=True)]
            modules = median(own["modules"]) - median(bare["modules"])
            cells = [number(median(added)), f"{modules:,.0f}", number(median(own["peak_mib"]))]
        first = section.get(f"first:{name}")
        last = [number(median(first[kind])) for kind in ("cpu_ms", "peak_mib")] if first else ["-"]
        rows.append([clients.CLIENTS[name].label, *cells, *(last * 2)[:2]])
    head = ["import: CPU ms", "modules", "peak MiB", "first answer: CPU ms", "peak MiB"]
    return make_table(["", *head], rows)


def tell_counts(found: Mapping[str, Any]) -> str:
    """What calls leave behind."""
    section = found["counts"]
    rows = []
    for name in section["garbage"]:
        peak = section["split"].get(name, {}).get("peak_mib")
        rows.append(
            [
                clients.CLIENTS[name].label,
                number(section["garbage"][name]),
                number(section["growth"][name]),
                number(peak) if peak else "-",
            ]
        )
    head = ["cyclic garbage, objects a call", "growth, MiB", "10,000 documents, peak MiB"]
    return make_table(["", *head], rows)


def tell_footprint(found: Mapping[str, Any]) -> str:
    """What each installation brings."""
    rows = [
        [
            INSTALLED.get(name, name.removeprefix("bench_")),
            f"{details['distributions']}",
            number(details["mb"]),
            f"{details['native']}",
        ]
        for name, details in found["counts"]["footprint"].items()
    ]
    return make_table(["", "distributions", "MB", "native modules"], rows)


def tell_distributions(found: Mapping[str, Any]) -> str:
    """What each distribution weighs that is installed with ours."""
    details = found["counts"]["footprint"]["bench_ours"]
    weights = sorted(details.get("weights", {}).items(), key=lambda item: -item[1])
    rows = [[f"{name} {details['versions'][name]}", number(mb)] for name, mb in weights]
    return make_table(["distribution", "MB"], rows)


def _tell_profiles(head: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    """Microseconds of each part, a column for each profile, in the order of the first."""
    (first, *_) = columns.values()
    parts = [part for part in first if part != COLLECTING]
    more = {part for column in columns.values() for part in column} - {*first}
    rows = [
        [part, *(number(column.get(part, 0)) for column in columns.values())]
        for part in [*parts, *sorted(more), COLLECTING]
    ]
    return make_table([head, *columns], rows)


def tell_profile_blocking(found: Mapping[str, Any]) -> str:
    """Where the processor time of a blocking call goes."""
    section = found["profiles"]["blocking"]
    columns = {clients.CLIENTS[name].label: figures for name, figures in section.items()}
    return _tell_profiles("CPU \u00b5s, 1,000 documents", columns)


def tell_profile_concurrent(found: Mapping[str, Any]) -> str:
    """Where that of concurrent calls goes."""
    section = found["profiles"]["async"]
    columns = {f"{int(level):,} at once": figures for level, figures in section.items()}
    return _tell_profiles("CPU \u00b5s of a call, 100 documents", columns)


def tell_compared(found: Mapping[str, Any]) -> str:
    """The README's table."""
    when, head, rows = list_compared(found)
    return f"{when}\n\n{make_table(head, rows)}"


# What each part needs, and what writes it.
PARTS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], str]]] = {
    "machine": (("machine", "counts"), tell_machine),
    "goals": (("machine",), tell_goals),
    "blocking": (("blocking",), tell_blocking),
    "concurrency": (("concurrency",), tell_concurrency),
    "startup": (("startup",), tell_startup),
    "counts": (("counts",), tell_counts),
    "footprint": (("counts",), tell_footprint),
    "distributions": (("counts",), tell_distributions),
    "profile-blocking": (("profiles",), tell_profile_blocking),
    "profile-concurrent": (("profiles",), tell_profile_concurrent),
    "compared": (("machine", "counts", "startup", "blocking", "concurrency"), tell_compared),
}


def fill_pages(found: Mapping[str, Any], *pages: Path) -> None:
    """Print every part for which there are figures, and write it between its comments."""
    parts = {name: tell(found) for name, (needs, tell) in PARTS.items() if {*needs} <= {*found}}
    for part in parts.values():
        print(f"\n{part}")
    for page in filter(Path.exists, pages):
        text = page.read_text(encoding="utf-8")
        for name, part in parts.items():
            before, begin, rest = text.partition(f"<!-- {name} -->\n")
            _, end, after = rest.partition("<!-- end -->")
            if begin and end:
                text = f"{before}{begin}\n{part}\n\n{end}{after}"
        page.write_text(text, encoding="utf-8")
