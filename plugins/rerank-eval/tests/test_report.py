"""Reports: every text escaped, nothing from elsewhere, the same bytes for the same answers."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from rerank_eval import Calibration, Collection, Cutoff, Report, evaluate
from rerank_eval._figures import draw_figures
from rerank_eval._text import merge_warnings

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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_warnings_that_differ_in_numbers_are_one(
    collection: Collection, make_fake: Any, scorers: Any
) -> None:
    """With the range of each number; many that differ in words do not bury the report."""
    numbers = {"3 of 10 were cut": 2, "12 of 10 were cut": 1, "none was 1.5": 1, "a": 1}
    assert merge_warnings(numbers) == [
        ("3 to 12 of 10 were cut", 3),
        ("none was 1.5", 1),
        ("a", 1),
    ]

    class Wordy(make_fake):  # type: ignore[misc]  # a fixture is no base that mypy knows
        def rerank(self, query: str, *args: Any, **named: Any) -> Any:
            letter = chr(ord("a") + len(self.calls))
            return evolve(super().rerank(query, *args, **named), warnings=[f"only {letter}"])

    text = evaluate(collection.first(9), {"m": Wordy(scorers["same"])}).markdown()

    assert text.count("in 1 responses: only") == 5
    assert "m: 4 further warnings stand in report.json." in text


@pytest.mark.slow
def test_probabilities_are_drawn_against_what_came_true(
    collection: Collection, make_fake: Any
) -> None:
    """Of models that claim them, and of calibrated ones; never of scores that leave 0 to 1."""
    facts = SimpleNamespace(score_kind="probability", listwise=False, price=None)

    def half(_: str, documents: Any) -> list[float]:
        return [0.95 if str(each)[-1] != "0" else 0.25 for each in documents]

    calibration = Calibration(model="fake/model", method="isotonic", points=[[0, 0.1], [1, 0.9]])
    models = {
        "honest": make_fake(half, facts=facts),
        "raw": make_fake(lambda *each: [2.0 * s for s in half(*each)], facts=facts),
        "plain": make_fake(half),
        "calibrated": Cutoff(make_fake(half), 0.0, calibration=calibration),
    }
    found = {
        row["label"]: row["reliability"] for row in evaluate(collection, models).content["rows"]
    }

    relevant = sum(sum(grade > 0 for grade in t.grades.values()) for t in collection.topics)
    assert found["honest"] == [
        (pytest.approx(0.25), 0.0, 320 - relevant),
        (pytest.approx(0.95), 1.0, relevant),
    ]
    assert [said for said, _, _ in found["calibrated"]] == pytest.approx([0.3, 0.86])
    assert found["raw"] == found["plain"] == found["first stage"] == []
    pytest.importorskip("matplotlib")
    figures = draw_figures(evaluate(collection, models).content) or ()
    assert [each.name for each in figures].count("reliability") == 1
