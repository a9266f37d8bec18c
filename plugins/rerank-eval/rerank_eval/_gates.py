"""Gates for CI: what a model must reach, and what it must not be worse than."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError
from rerank_eval._measures import parse_measure
from rerank_eval._statistics import compare_pairs


def parse_gate(text: str) -> tuple[str, float]:
    """Read `nDCG@10=0.42`: a measure's name and its least value.

    Raises:
        ConfigurationError: It is something else.
    """
    name, _, value = text.rpartition("=")
    try:
        least = float(value)
    except ValueError as error:
        raise ConfigurationError(f"write --fail-under nDCG@10=0.42, not {text!r}") from error
    return parse_measure(name).name, least


def check_gate_names(
    measures: Sequence[str],
    labels: Sequence[str],
    *,
    fail_under: Sequence[str] = (),
    no_worse_than: str | None = None,
) -> dict[str, dict[str, float]] | None:
    """Refuse gates that name what there is not; the command does before it asks and pays.

    Args:
        measures: Those of the report, the first of which is tested.
        labels: Of its rows.
        fail_under: Measures with the least mean.
        no_worse_than: A row, or a `report.json` that was kept.

    Returns:
        The values by query of each row of the kept report; `None` where none is named.

    Raises:
        ConfigurationError: A gate names no measure of the report, no row, or no kept report.
    """
    for text in fail_under:
        if parse_gate(text)[0] not in measures:
            raise ConfigurationError(f"--fail-under {text}: name the measure with --measure, too")
    if no_worse_than is None or no_worse_than in labels:
        return None
    if not no_worse_than.endswith(".json"):
        message = f"--no-worse-than {no_worse_than}: none of {', '.join(labels)}, no report"
        raise ConfigurationError(message)
    return _read_kept(no_worse_than, measures[0])


def check_gates(
    content: Mapping[str, Any],
    *,
    fail_under: Sequence[str] = (),
    no_worse_than: str | None = None,
    margin: float = 0.0,
) -> list[dict[str, Any]]:
    """Hold every model against the gates.

    Args:
        content: A report's.
        fail_under: Measures with the least mean.
        no_worse_than: A row, or a `report.json` that was kept: the lower end of the interval of
            the difference to it must not lie below `-margin`.
        margin: What may be lost, from 0.

    Returns:
        For each model and gate, whether it `passed`, and why in words.

    Raises:
        ConfigurationError: A gate names no measure of the report, or no row.
    """
    labels = [row["label"] for row in content["rows"]]
    kept = check_gate_names(
        content["measures"], labels, fail_under=fail_under, no_worse_than=no_worse_than
    )
    gates = []
    models = [row for row in content["rows"] if row["kind"] in {"model", "fusion"}]
    for text in fail_under:
        name, least = parse_gate(text)
        for row in models:
            mean = row["measures"][name]["mean"]
            gates.append(
                _gate(row, mean >= least, f"{name} is {mean:.4f}, and {least:g} was asked")
            )
    if no_worse_than is not None:
        if not margin >= 0:
            raise ConfigurationError(f"--margin is a number from 0, not {margin}")
        against = _of_own_row(content, no_worse_than) if kept is None else kept
        gates += [
            _check_loss(content, row, against, no_worse_than, margin)
            for row in models
            if row["label"] != no_worse_than
        ]
    return gates


def _gate(row: Mapping[str, Any], passed: bool, why: str) -> dict[str, Any]:  # noqa: FBT001 - a value
    return {"model": row["label"], "passed": passed, "why": why}


def _of_own_row(content: Mapping[str, Any], name: str) -> dict[str, dict[str, float]]:
    """The values by query of one of the report's rows, which all models are held against."""
    labels = [row["label"] for row in content["rows"]]
    values = _by_query(content, content["rows"][labels.index(name)], content["measures"][0])
    return dict.fromkeys(labels, values)


def _read_kept(name: str, measure: str) -> dict[str, dict[str, float]]:
    try:
        kept = json.loads(Path(name).read_text(encoding="utf-8"))
        return {row["label"]: _by_query(kept, row, measure) for row in kept["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"--no-worse-than {name}: no report with {measure} ({error!r})"
        ) from error


def _by_query(content: Mapping[str, Any], row: Mapping[str, Any], measure: str) -> dict[str, float]:
    values = row["measures"][measure]["per_query"]
    return {
        query["query_id"]: value
        for query, value, answered in zip(content["queries"], values, row["answered"], strict=True)
        if answered
    }


def _check_loss(
    content: Mapping[str, Any],
    row: Mapping[str, Any],
    baseline: Mapping[str, Mapping[str, float]],
    name: str,
    margin: float,
) -> dict[str, Any]:
    """Whether a model loses no more than the margin, as far as the queries can tell."""
    if row["label"] not in baseline:
        return _gate(row, passed=False, why=f"{name} has no such row")
    mine, theirs = _by_query(content, row, content["measures"][0]), baseline[row["label"]]
    common = [query for query in mine if query in theirs]
    if not common:
        return _gate(row, passed=False, why=f"no query is answered here and in {name}")
    paired = compare_pairs(
        [mine[query] for query in common], [theirs[query] for query in common], seed=content["seed"]
    )
    what = f"{paired.difference:+.4f} [{paired.low:+.4f}, {paired.high:+.4f}] to {name}"
    if paired.low >= -margin:
        return _gate(row, passed=True, why=f"{what}, within {margin:g}")
    if paired.high < -margin:
        return _gate(row, passed=False, why=f"{what}: worse by more than {margin:g}")
    why = f"{what}: that no more than {margin:g} is lost cannot be shown with these queries"
    return _gate(row, passed=False, why=why)
