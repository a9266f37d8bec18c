"""Reports: every text escaped, nothing from elsewhere, the same bytes for the same answers."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from attrs import evolve

from rerank_eval import Collection, Report, evaluate
from rerank_eval._figures import draw_figures

NASTY = '<script>alert(1)</script> & "q" |pipe| `tick` $x$ \x1b[31m\u202e'


@pytest.fixture
def report(collection: Collection, make_fake: Any, scorers: Any) -> Report:
    """One with what a query, a model's name and an error may hold."""
    topics = [evolve(topic, query=f"{topic.query} {NASTY}") for topic in collection.topics]
    nasty = evolve(collection, topics=topics, name=NASTY, notes=[NASTY])
    models = {
        f"a {NASTY}": make_fake(scorers["by_grade"], cost=0.01),
        "b$_{2}$": make_fake(scorers["reversed"], cost=0.02),
    }
    return evaluate(nasty, models, fuse=[])


class _Seen(HTMLParser):
    """Which tags there are, and whether they all end."""

    void = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_runs_nothing(report: Report) -> None:
    """No script, no address but names of XML, every tag ended, no id twice."""
    page = report.html()
    seen = _Seen()
    seen.feed(page)

    assert seen.open == []
    assert not seen.tags & {"script", "link", "iframe", "img", "object"}
    assert "<script>alert" not in page
    assert {*re.findall(r"(?:href|src)=\"(?!#)[^\"]*", page)} == set()
    assert len(seen.ids) == len({*seen.ids})
    assert "default-src &#x27;none&#x27;" in page


@pytest.mark.slow
def test_the_page_has_its_figures(report: Report) -> None:
    """Each that there are values for, as SVG in the page."""
    pytest.importorskip("matplotlib")

    names = [figure.name for figure in draw_figures(report.content) or ()]

    assert names == ["cost", "latency", "forest", "queries", "places", "depth", "grades"]
    assert report.html().count("<svg") == 7


def test_figures_are_the_same_bytes_each_time(report: Report) -> None:
    """No date, no random names."""
    pytest.importorskip("matplotlib")

    assert report.html() == Report(report.content).html()


def test_without_the_extra_the_page_says_how_to_get_figures(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has everything else."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = report.html()

    assert "pip install &#x27;rerank-eval[plots]&#x27;" in page or "rerank-eval[plots]" in page
    assert "<svg" not in page


def test_markdown_shows_texts_as_they_are(report: Report) -> None:
    """On one line, with no table, tag or code of their own."""
    text = report.markdown()
    table = [line for line in text.splitlines() if line.startswith("| ")]

    assert "<script>" not in text
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table[:4]}) == 1


def test_numbers_for_machines(report: Report) -> None:
    """CSV with a row for each measure; LaTeX with its special characters written."""
    lines = report.csv().splitlines()

    assert lines[0].startswith("row,measure,mean,low,high")
    assert sum(line.startswith("ceiling,") for line in lines) == 3
    assert r"b\$\_\{2\}\$" in report.latex()
    assert report.latex().count(r"\hline") == 3


def test_worst_and_best_queries_are_told_by_text(report: Report) -> None:
    """With both values."""
    found = report.content["extremes"]["b$_{2}$"]

    assert found["worst"][0]["difference"] < 0
    assert found["worst"][0]["query"].startswith("query ")
    assert all(each["difference"] > 0 for each in found["best"])


def test_a_notebook_gets_the_table(report: Report) -> None:
    """Alone."""
    assert report._repr_html_().startswith('<div class="scroll"><table>')
