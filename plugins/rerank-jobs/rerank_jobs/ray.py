"""Ray Data: the rows of a dataset, ranked by actors on any number of machines.

`rerank_dataset` is the whole of it; `RerankRows` is for a `map_batches` of your own. Keys come from
the environment of the workers: an argument would be kept in Ray's object store, for all to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerank_core import ConfigurationError, Reranker
from rerank_jobs.tables import arerank_table

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

_ROWS_PER_BLOCK = 16  # what is lost, and paid again, where a worker dies
_CPUS = 0.25  # an actor waits for a service most of the time


class RerankRows:
    """Ranks batches; made once in each actor, with connections of its own.

    Args:
        model: `provider/model`.
        at_once: The most rows under way at once in this actor; nothing of Ray's bounds them.
        params: Of every call, `top_n` for example.
        options: Of `Reranker`, without a key.
        cache: The path of a store of scores on the actor's machine; `None` for none.

    Raises:
        ConfigurationError: The model cannot be asked at all, or a key is among the options.
    """

    def __init__(
        self,
        model: str,
        at_once: int = 8,
        params: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        check_no_key(options)
        self._asks: Any = Reranker(model, **(options or {}))
        if cache is not None:
            from rerank_cache import Cached, SQLiteStore  # noqa: PLC0415 - only where wanted

            self._asks = Cached(self._asks, SQLiteStore(cache))
        self._params = params or {}
        self._gate = asyncio.Semaphore(at_once)

    async def __call__(self, batch: pa.Table) -> AsyncIterator[pa.Table]:
        """Yield the batch's rankings: `id`, `results`, `error`, `cost`, `warnings`."""
        yield await arerank_table(batch, self._asks, self._params, self._gate)


def check_no_key(options: Mapping[str, Any] | None) -> None:
    """Refuse a key that would travel through Ray.

    Raises:
        ConfigurationError: There is one.
    """
    if secret := {"api_key", "extra_headers", "headers", "http_client"} & {*(options or {})}:
        raise ConfigurationError(
            f"{', '.join(sorted(secret))}: Ray would keep it where others can read it; set the"
            " provider's variable in the workers' environment, by runtime_env for example"
        )


def rerank_dataset(  # noqa: PLR0913 - each is one of the user's decisions
    dataset: ray.data.Dataset,
    model: str,
    *,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    actors: int = 1,
    at_once: int = 8,
    rows_per_block: int = _ROWS_PER_BLOCK,
    num_cpus: float = _CPUS,
    cache: str | Path | None = None,
) -> ray.data.Dataset:
    """A dataset of rankings: `id`, `results`, `error`, `cost`, `warnings`; the order is not kept.

    Args:
        dataset: With the columns `query` and `documents`, and `id`.
        model: `provider/model`.
        params: Of every call, `top_n` for example.
        options: Of `Reranker`, without a key.
        actors: How many rank; a rate limit is shared between them by `at_once`.
        at_once: The most rows under way at once in each actor.
        rows_per_block: Rows that are written, or lost, together.
        num_cpus: CPUs that each actor reserves; keep some for reading and writing.
        cache: The path of a store of scores on each machine; `None` for none.

    Raises:
        ConfigurationError: A key is among the options.
    """
    import ray.data  # noqa: PLC0415 - an extra

    check_no_key(options)
    constructor = {
        "model": model,
        "at_once": at_once,
        "params": dict(params or {}),
        "options": dict(options or {}),
        "cache": None if cache is None else str(cache),
    }
    blocks = dataset.repartition(target_num_rows_per_block=rows_per_block)
    return blocks.map_batches(
        RerankRows,
        fn_constructor_kwargs=constructor,
        batch_size=rows_per_block,
        batch_format="pyarrow",
        num_cpus=num_cpus,
        compute=ray.data.ActorPoolStrategy(size=actors, max_concurrent_calls_per_actor=2),
    )
