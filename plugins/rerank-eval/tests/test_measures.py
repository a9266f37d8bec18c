"""Measures equal those of ir-measures, and measure the order that was returned."""

from __future__ import annotations

import math
import random
import shutil

import pytest

from rerank_core import ConfigurationError
from rerank_eval import parse_measure, score_orders
from rerank_eval._measures import Measure, expected_over_ties, ties_across

# ir-measures' parser of names, on Python 3.12 and later.
pytestmark = pytest.mark.filterwarnings("ignore:(ast|Attribute):DeprecationWarning")
ir_measures = pytest.importorskip("ir_measures", reason="the extra [measures] has no wheel here")

NAMES = [
    "nDCG@10",
    "nDCG",
    "RR@10",
    "RR",
    "AP@100",
    "AP",
    "AP(rel=2)@5",
    "P@5",
    "P(rel=2)@5",
    "R@3",
    "R@100",
    "Success@1",
    "Success(rel=2)@3",
    "Judged@10",
    "nDCG(judged_only=True)@10",
    "RR(judged_only=True)",
    "P(rel=2, judged_only=True)@5",
]


def _random_lists(seed: int) -> tuple[list[list[str]], list[dict[str, int]]]:
    chance = random.Random(seed)  # noqa: S311 - no secret
    orders, judged = [], []
    for _ in range(30):
        names = [f"d{at}" for at in range(chance.randint(1, 60))]
        grades = {
            f"d{at}": chance.choice([-1, 0, 0, 1, 1, 2, 3])
            for at in range(80)
            if chance.random() < 0.4
        }
        chance.shuffle(names)
        orders.append(names)
        judged.append(grades or {"d0": 0})
    return orders, judged


@pytest.mark.parametrize("name", NAMES)
def test_values_equal_ir_measures(name: str) -> None:
    """On random rankings, with negative grades, unjudged documents and short lists."""
    orders, judged = _random_lists(len(name))
    run = {
        str(at): {each: float(len(order) - place) for place, each in enumerate(order)}
        for at, order in enumerate(orders)
    }
    qrels = {str(at): grades for at, grades in enumerate(judged)}
    measure = ir_measures.parse_measure(name)
    theirs = {each.query_id: each.value for each in measure.iter_calc(qrels, run)}

    ours = score_orders(parse_measure(name), orders, judged)

    assert parse_measure(name).foreign is None
    assert ours == pytest.approx([theirs[str(at)] for at in range(len(orders))], abs=1e-12)
    assert len({*ours}) > 1


def test_renaming_documents_changes_nothing() -> None:
    """Other tools order equal scores by name; here only the order counts."""
    orders, judged = _random_lists(7)
    names = {f"d{at}": f"z{997 * at % 101:03}" for at in range(80)}
    renamed = [[names[each] for each in order] for order in orders]
    grades = [{names[each]: grade for each, grade in found.items()} for found in judged]
    for name in [*NAMES, "Bpref", "infAP"]:
        measure = parse_measure(name)

        assert score_orders(measure, orders, judged) == score_orders(measure, renamed, grades)


def test_any_other_name_goes_to_ir_measures() -> None:
    """With ranks as scores, and 0 for a query that it leaves out."""
    measure = parse_measure("Rprec")
    values = score_orders(measure, [["a", "b"], ["b", "a"], []], [{"a": 1}] * 3)

    assert measure.foreign is not None
    assert values == [1.0, 0.0, 0.0]


@pytest.mark.skipif(shutil.which("perl") is None, reason="ir-measures computes it by Perl")
def test_a_measure_that_takes_numbers_for_ids_is_known() -> None:
    """ERR, by gdeval: whatever the queries are called, what it gets are numbers."""
    values = score_orders(parse_measure("ERR@10"), [["a", "b"], ["b", "a"], []], [{"a": 1}] * 3)

    assert values == [0.0625, 0.03125, 0.0]


def test_exponential_gain_needs_no_other_program() -> None:
    """The dossier's example: 2 to the power of the grade, less 1."""
    order, grades = [["a", "b"]], [{"a": 1, "b": 2}]
    plain = (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))
    exponential = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))

    assert score_orders(parse_measure("nDCG@10"), order, grades) == pytest.approx([plain])
    measure = parse_measure("nDCG(dcg='exp-log2')@10")
    assert score_orders(measure, order, grades) == pytest.approx([exponential])


@pytest.mark.parametrize(
    ("written", "name"),
    [("ndcg@10", "nDCG@10"), ("MRR@10", "RR@10"), ("map@100", "AP@100"), ("recall@5", "R@5")],
)
def test_usual_names_are_known(written: str, name: str) -> None:
    """In any case, and by what people call them."""
    assert parse_measure(written).name == name


@pytest.mark.parametrize("name", ["", "nope@10", "P", "nDCG@0", "nDCG(x=1)@3", "AP(rel=2"])
def test_what_is_no_measure_is_refused(name: str) -> None:
    """With a message, not a traceback of another library."""
    with pytest.raises(ConfigurationError):
        parse_measure(name)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the few that are ours go on working."""
    monkeypatch.setitem(__import__("sys").modules, "ir_measures", None)

    assert parse_measure("nDCG@10").cutoff == 10
    with pytest.raises(ConfigurationError, match=r"rerank-eval\[measures\]"):
        parse_measure("Bpref")


@pytest.mark.parametrize("name", ["nDCG@2", "P@2", "R@2", "nDCG(dcg='exp-log2')@3"])
def test_the_expectation_over_ties_is_the_mean_over_all_orders(name: str) -> None:
    """Tried out over every order of the tied documents."""
    from itertools import permutations  # noqa: PLC0415 - of this test

    measure, grades = parse_measure(name), {"a": 2, "b": 0, "c": 1, "d": 1}
    scores = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.5}
    orders = [[*head, "d"] for head in permutations("abc")]
    mean = sum(score_orders(measure, orders, [grades] * len(orders))) / len(orders)
    expected = expected_over_ties(
        measure, [2, 0, 1, 1], [scores[each] for each in "abcd"], [*grades.values()]
    )

    assert expected == pytest.approx(mean)
    assert expected_over_ties(parse_measure("RR@10"), [1], [1.0], [1]) is None


def test_a_tie_counts_where_it_crosses_the_cut() -> None:
    """Not above it, not below it."""
    scores = [3.0, 2.0, 2.0, 1.0, 1.0]

    assert [ties_across(scores, cut) for cut in (1, 2, 3, 4, 5, None)] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


def test_nothing_relevant_and_nothing_returned_score_zero() -> None:
    """Never a division by zero."""
    for name in NAMES:
        assert score_orders(parse_measure(name), [[], ["a"]], [{"a": 1}, {"b": 0}]) == [0.0, 0.0]
    assert Measure("P@1", "P", 1).rel == 1
