"""Table in, table out: what Ray Data, Dask and Spark call for each part of their data.

A table has the columns `query` and `documents`, and maybe `id`; what comes back has `id`,
`results`, `error`, which is null where the row was ranked, `cost`, and `warnings`, which say what
the ranking did not see, and who answered instead: no row is lost, and none raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from rerank_core import Reranker, RerankError

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        (
            "results",
            pa.list_(pa.struct([("index", pa.int64()), ("relevance_score", pa.float64())])),
        ),
        ("error", pa.string()),
        ("cost", pa.float64()),
        ("warnings", pa.list_(pa.string())),
    ]
)


async def rank_row(asks: Any, row: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A row's ranking, or its error: it never raises a `RerankError`.

    Args:
        asks: A `Reranker`, or a `Cached` one.
        row: With `query`, `documents` and maybe `id`.
        params: Of the call, `top_n` for example.
    """
    given = row.get("id")
    ranked: dict[str, Any] = {"id": None if given is None else str(given)}
    try:
        response = await asks.arerank(
            row["query"], row["documents"], **params, return_documents=False
        )
    except RerankError as error:
        return ranked | {"error": f"{type(error).__name__}: {error}"}
    results = [
        {"index": result.index, "relevance_score": result.relevance_score}
        for result in response.results
    ]
    return ranked | {
        "results": results,
        "cost": response.cost,
        "warnings": list(response.warnings),
    }


async def arerank_table(
    table: pa.Table, asks: Any, params: Mapping[str, Any], gate: asyncio.Semaphore
) -> pa.Table:
    """A table's rankings, in its order; see the module.

    Args:
        table: The rows.
        asks: A `Reranker`, or a `Cached` one.
        params: Of every call.
        gate: How many rows may be under way at once.
    """

    async def rank(row: Mapping[str, Any]) -> dict[str, Any]:
        async with gate:
            return await rank_row(asks, row, params)

    ranked = await asyncio.gather(*map(rank, table.to_pylist()))
    return pa.Table.from_pylist(list(ranked), schema=SCHEMA)


def rerank_table(
    table: pa.Table,
    model: str,
    *,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    at_once: int = 16,
) -> pa.Table:
    """A table's rankings, in its order; see the module. Not to be called in a running loop.

    Args:
        table: The rows.
        model: `provider/model`.
        params: Of every call, `top_n` for example.
        options: Of `Reranker`; keys are better left to the environment.
        at_once: The most rows under way at once.

    Raises:
        ConfigurationError: The model cannot be asked at all.
    """

    async def rank() -> pa.Table:
        async with Reranker(model, **(options or {})) as reranker:
            return await arerank_table(table, reranker, params or {}, asyncio.Semaphore(at_once))

    return asyncio.run(rank())
