"""`evaluate`: ask the models, measure their orders, and report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError
from rerank_eval._ask import Progress, ask, describe_entrant, open_questions
from rerank_eval._calibration import find_probability
from rerank_eval._compare_rows import compare_rows, find_extremes
from rerank_eval._data import Collection
from rerank_eval._entrants import Entrant, Fused, check_names, parse_fused, to_entrants
from rerank_eval._measures import parse_measure
from rerank_eval._rankings import make_rows
from rerank_eval._read import read_collection
from rerank_eval._report import Report
from rerank_eval._responses import Responses
from rerank_eval._statistics import DRAWS, RESAMPLES
from rerank_eval._table import describe_row

MEASURES = ("nDCG@10", "RR@10", "P@5")
FORMAT = 1


def evaluate(  # noqa: PLR0913 - each is one of the user's decisions
    data: Collection | str | os.PathLike[str],
    models: Iterable[str | Entrant] | Mapping[str, Any],
    *,
    measures: Sequence[str] = MEASURES,
    depth: int = 100,
    baseline: str | None = None,
    fuse: Sequence[str | Fused] = (),
    repeat: int = 1,
    concurrency: int = 1,
    limit: int | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    responses: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    progress: Progress = lambda *_: None,
) -> Report:
    """Compare rerankers on judged queries: the first stage, every model, and the ceiling.

    Every model gets the same candidates in the same order, and the order that it returns is
    measured. Only the first measure is tested for significance; the others are shown.

    Args:
        data: A collection, or a path that `read_collection` takes.
        models: Models as `rerank eval` takes them, or rerankers by name: anything with the
            interface of a `Reranker`.
        measures: Names such as `nDCG@10`.
        depth: The most candidates for a query, from 1, where `data` is a path.
        baseline: The row that all others are tested against; every pair by default.
        fuse: Fusions of rows, as `METHOD=MODEL,MODEL`; they make no further calls.
        repeat: How often each query is asked, from 1.
        concurrency: The most calls of a model at once, from 1.
        limit: Only the first so many queries; all by default.
        alpha: The significance level for adjusted p-values, between 0 and 1.
        seed: For the permutations and the bootstrap.
        responses: A file that keeps every answer and is read first: what is in it is not asked
            again.
        retry_failed: Ask again what failed.
        progress: Called after every answer with the model, the answers so far and their total.

    Raises:
        ConfigurationError: Data, models or arguments make no sense.
        RerankError: What would fail for every query, such as a wrong key.
    """
    if repeat < 1 or concurrency < 1 or depth < 1 or not 0 < alpha < 1 or not measures:
        message = "repeat, concurrency and depth are from 1, alpha between 0 and 1, measures needed"
        raise ConfigurationError(message)
    collection = data if isinstance(data, Collection) else read_collection(Path(data), depth=depth)
    collection = collection.first(limit)
    if not collection.topics:
        raise ConfigurationError(f"{collection.name}: no query has both a text and a judgement")
    entrants = to_entrants(models)
    fused = [parse_fused(each) if isinstance(each, str) else each for each in fuse]
    parsed = [parse_measure(name) for name in measures]
    check_names(entrants, fused, baseline)
    path = None if responses is None else Path(responses)
    with Responses.open(path, collection) as kept:
        questions = open_questions(
            collection, entrants, kept, repeats=repeat, retry_failed=retry_failed
        )
        about = {"candidates": collection.candidates, "checksum": collection.checksum}
        ask(questions, kept, concurrency=concurrency, about=about, progress=progress)
        rows = make_rows(collection, entrants, fused, kept, repeats=repeat, measure=parsed[0])
        runs = [dict(run) for run in kept.runs]
    meant = {entrant.label: find_probability(entrant.reranker) for entrant in entrants}
    described = [
        describe_row(collection, row, parsed, seed=seed, to_probability=meant.get(row.label))
        for row in rows
    ]
    comparisons = compare_rows(described, parsed[0], baseline, seed=seed, alpha=alpha)
    queries = [{"query_id": topic.query_id, "query": topic.query} for topic in collection.topics]
    by_label = {row["label"]: row for row in described}
    against = by_label[baseline or described[0]["label"]]
    return Report(
        {
            "format": FORMAT,
            "data": _describe_data(collection),
            "measures": [measure.name for measure in parsed],
            "baseline": baseline,
            "against": against["label"],
            "alpha": alpha,
            "seed": seed,
            "draws": DRAWS,
            "resamples": RESAMPLES,
            "repeat": repeat,
            "runs": runs,
            "models": [describe_entrant(entrant) for entrant in entrants],
            "queries": queries,
            "rows": described,
            "comparisons": comparisons,
            "extremes": {
                row["label"]: find_extremes(queries, row, against, parsed[0])
                for row in described[:-1]
                if row is not against
            },
            "gates": [],
        }
    )


def _describe_data(collection: Collection) -> dict[str, Any]:
    counts = [len(topic.ids) for topic in collection.topics]
    return {
        "name": collection.name,
        "candidates": collection.candidates,
        "checksum": collection.checksum,
        "queries": len(collection.topics),
        "pairs": sum(counts),
        "deepest": max(counts),
        "notes": [*collection.notes],
    }
