"""What measures is itself checked: servers, answers, verdicts and plots."""

from __future__ import annotations

import re
import signal
import time
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import server
from benchmarks.clients import CLIENTS
from benchmarks.goals import Goal
from benchmarks.payloads import check_answer, documents
from benchmarks.plots import Line, Plot
from benchmarks.profiles import COLLECTING, Sampler
from benchmarks.report import PARTS, fill_pages, tell_concurrency

IN_C = pytest.param(True, marks=pytest.mark.skipif(not server.find_compiler(), reason="no cc"))


@pytest.mark.parametrize("is_compiled", [IN_C, False])
def test_both_servers_give_the_answer_that_is_checked(
    monkeypatch: pytest.MonkeyPatch, *, is_compiled: bool
) -> None:
    """Each client's own reading of the reply is the fixed ranking, and calls are counted."""
    if not is_compiled:
        monkeypatch.setattr(server, "find_compiler", lambda: None)
    with server.MockServer(cpu=-1) as running, ExitStack() as stack:
        for name in ("ours", "httpx", "httpx_orjson", "socket"):
            client = CLIENTS[name]
            call = client.open(running.base, stack)
            for count in (1, 10, 100, 10):
                check_answer(client.pairs(call(documents(count))), count)
        counted = running.counts()

    assert counted["requests"] == 16
    assert counted["connections"] == 4
    assert counted["bad"] == 0


@pytest.mark.parametrize("fault", ["short", "swapped", "score"])
def test_a_wrong_answer_is_noticed(fault: str) -> None:
    """A missing result, a wrong order and a wrong score are no answer."""
    right = [(1, 0.999), (0, 0.504)]
    wrong = {"short": right[:1], "swapped": right[::-1], "score": [right[0], (0, 0.5)]}
    check_answer(right, 2)

    with pytest.raises(ValueError, match=r"results for|rank"):
        check_answer(wrong[fault], 2)


@pytest.mark.parametrize(
    ("figures", "is_floor", "verdict"),
    [
        ([1, 1, 9], False, "goal"),
        ([1.5, 1.5, 1], False, "must"),
        ([3, 3, 1], False, "**missed**"),
        ([1, 1, 9], True, "**missed**"),
        ([3, 3, 1], True, "goal"),
    ],
)
def test_the_median_decides(figures: list[float], verdict: str, *, is_floor: bool) -> None:
    """A bound is an upper one, or a lower one where more is better."""
    must, goal = (2.0, 3.0) if is_floor else (2.0, 1.0)

    assert Goal("", must, goal, figures, is_floor).verdict == verdict


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="no timer of a process's own time")
def test_a_profile_names_the_part_and_adds_up() -> None:
    """What is counted is the innermost frame that belongs to a part; parts make up the whole."""
    with Sampler() as sampler:
        begin = time.process_time()
        while time.process_time() - begin < 0.3:
            documents(3)
    whole, *parts, collecting = sampler.tell(1).items()

    assert whole[1] >= 300_000
    assert sum(cpu for _, cpu in parts) == pytest.approx(whole[1], rel=1e-3)
    assert "the caller, who drops the reply before" in dict(parts)
    assert collecting[0] == COLLECTING


def test_fewer_rounds_than_ours_are_told() -> None:
    """A client that sat out some rounds has their number beside its rate."""
    full = {"requests_per_second": [1, 2, 3], "cpu_us": [1, 2, 3]}
    few = {"requests_per_second": [8], "cpu_us": [1]}
    levels = {"64": full, "1024": full}
    found = {"concurrency": {"ours": levels, "httpx": {"64": full, "1024": few}}}

    assert "| 2 | 8 (1 round) |" in tell_concurrency(found)


def test_labels_of_a_plot_do_not_overlap() -> None:
    """Lines that end at one point have their names one below the other, inside the plot."""
    lines = [Line(f"<{at}>", "#000", [(1, 10), (10, 1.0)]) for at in range(9)]
    drawn = ET.fromstring(Plot("", "", "", lines, (1, 10)).draw())  # noqa: S314 - our own
    texts = [found for found in drawn.iter() if (found.text or "").startswith("<")]
    places = sorted(float(found.attrib["y"]) for found in texts)

    assert len(places) == 9
    assert all(low - high >= 14 for high, low in pairwise(places))
    assert places[-1] < 450


def test_a_page_keeps_what_stands_outside_the_comments(tmp_path: Path) -> None:
    """Only what is between a pair of comments is written anew."""
    page = tmp_path / "performance.md"
    page.write_text("a\n<!-- blocking -->\nold\n<!-- end -->\nb\n", encoding="utf-8")
    fill_pages({"blocking": {"ours": {"10": {"cpu_us": [5.0], "wall_us": [7.0]}}}}, page)
    text = page.read_text(encoding="utf-8")

    assert text.startswith("a\n<!-- blocking -->\n")
    assert text.endswith("\n<!-- end -->\nb\n")
    assert "| **rerank-core** | 5 | 1 | 7 |" in text
    assert "old" not in text


def test_every_part_has_one_place_in_the_pages() -> None:
    """What is measured is told, and no figure stays behind that nobody measures any more."""
    root = Path(__file__).parents[2]
    pages = (root / "docs" / "performance.md", root / "README.md")
    marks = [
        mark
        for page in pages
        for mark in re.findall(r"^<!-- (\S+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert sorted(mark for mark in marks if mark != "end") == sorted(PARTS)
    assert marks[1::2] == ["end"] * len(PARTS)


def test_the_readmes_table_has_date_versions_and_medians() -> None:
    """Of the calls whose every result was read, and of the import without the interpreter."""
    others = ("litellm", "rerankers", "cohere", "voyageai")
    sizes = {"mb": 3.39, "distributions": 13, "versions": dict.fromkeys(others, "1.2.3")}
    rates = {"64": {"requests_per_second": [900, 1_000, 1_700]}}
    found = {
        "machine": {
            "date": "2026-11-28",
            "cores": 2,
            "processor": "Acme",
            "system": "Linux",
            "python": "3.11.7",
        },
        "counts": {"footprint": {f"bench_{name}": sizes for name in ("ours", *others)}},
        "startup": {
            f"{kind}:{name}": {"cpu_ms": [cpu]}
            for name in ("ours", *others)
            for kind, cpu in (("import", 24.5), ("bare", 14.1))
        },
        "blocking": {name: {"100": {"cpu_us": [1, 506, 9_000]}} for name in ("ours_read", *others)},
        "concurrency": dict.fromkeys(("ours", *others), rates),
    }
    table = PARTS["compared"][1](found)

    assert "Measured 2026-11-28 on 2 cores (Acme), Linux, Python 3.11.7." in table
    assert "| rerank-core | litellm 1.2.3 | rerankers 1.2.3 |" in table
    assert "| CPU of a call, \u00b5s | 506 | 506 |" in table
    assert "| requests a second, 64 at once | 1,000 |" in table
    assert "| CPU of the import, ms | 10.4 |" in table
    assert "| installed, MB | 3.39 |" in table
    assert "| distributions | 13 |" in table
