"""Checks of what goes wrong: statuses, waiting, cancelling, and what never shows."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from rerank_core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RerankError,
    ServerError,
)
from rerank_core.testing._case import CANARY, Case
from rerank_core.testing._checks_facts import facts_of
from rerank_core.testing._failure import require
from rerank_core.testing._service import (
    QUERY,
    Service,
    ask,
    computes,
    encoded,
    replying,
    target_of,
    texts,
)
from rerank_core.wire import shorten

_CALL: Mapping[str, Any] = {"query": QUERY, "documents": texts(2)}
_STATUSES: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: APIStatusError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    503: ServerError,
}


def _failure(
    case: Case, status: int, content: Any, headers: Mapping[str, str] | None = None
) -> RerankError:
    try:
        ask(case, _CALL, content, status=status, headers=headers)
    except RerankError as error:
        return error
    message = f"a reply with status {status} is a success"
    raise AssertionError(message)


def check_statuses_are_errors(case: Case) -> None:
    """A bad status is the error of its kind, with what the service said."""
    if computes(case):
        return
    said = "the service says exactly this"
    for status, usual in _STATUSES.items():
        wanted = facts_of(case).error_types.get(status, usual)
        error = _failure(case, status, case.encode_error(said))
        require(
            isinstance(error, wanted),
            f"status {status} is {type(error).__name__}, not {wanted.__name__}",
            why="users catch errors by their kind",
            where="error_types of the facts",
        )
        require(
            said in str(error),
            f"what the service said is missing in: {error}",
            why="it is what a person needs to correct the call",
            where="Case.encode_error, if the service's errors have a shape that core cannot read",
        )
        page = _failure(case, status, b"<html><body>Bad Gateway</body></html>")
        require(
            isinstance(page, APIStatusError),
            f"status {status} with a page of HTML is {type(page).__name__}",
            why="gateways in front of every service send such pages",
            where="auth, parse_response",
        )


def check_retry_after_is_read(case: Case) -> None:
    """Both forms of `Retry-After` say how long to wait."""
    if computes(case):
        return
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=7), usegmt=True)
    for header in ("7", later):
        headers = {"retry-after": header, "date": format_datetime(now, usegmt=True)}
        error = _failure(case, 429, case.encode_error("slow down"), headers)
        require(
            error.retry_after == 7,  # noqa: PLR2004 - as the header says
            f"Retry-After: {header} is read as {error.retry_after}",
            why="who comes back too early is refused again",
            where="auth, if it replaces the reply",
        )


def check_async_agrees(case: Case) -> None:
    """`arerank` gives what `rerank` gives, errors too."""
    reply = encoded(case, [(1, 0.75), (0, 0.25)], _CALL["documents"], None)
    blocking, awaited = (ask(case, _CALL, reply, awaited=way) for way in (False, True))
    require(
        blocking.results == awaited.results and blocking.meta == awaited.meta,
        "arerank gives another ranking than rerank",
        why="the two are one call",
        where="auth: write auth_flow once, as a generator",
    )
    if computes(case):
        return
    kinds = []
    for way in (False, True):
        try:
            ask(case, _CALL, case.encode_error("no"), awaited=way, status=403)
        except RerankError as error:
            kinds.append((type(error), str(error)))
    require(
        len(kinds) == 2 and kinds[0] == kinds[1],  # noqa: PLR2004 - one of each way
        f"errors differ: {kinds}",
        why="the two are one call",
        where="auth: write auth_flow once, as a generator",
    )


def check_cancelling_works(case: Case) -> None:
    """A cancelled `arerank` ends at once, and the next call works."""
    if computes(case):
        return
    reply = encoded(case, [(1, 0.75), (0, 0.25)], _CALL["documents"], None)

    async def run() -> bool:
        reached, hold = asyncio.Event(), True

        async def handle(request: httpx.Request) -> httpx.Response:
            answer = case.answer_auth(request)
            if answer is not None:
                return answer
            reached.set()
            if hold:
                await asyncio.Event().wait()
            return replying(reply)(request)

        transport = httpx.MockTransport(handle)
        reranker = Service(case, replying(reply)).reranker(http_client=transport)
        task = asyncio.create_task(reranker.arerank(**_CALL))
        on_its_way = asyncio.create_task(reached.wait())
        await asyncio.wait([task, on_its_way], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()  # raises what kept it from the service
        require(
            reached.is_set(),
            "a call does not reach the service within 10 s",
            why="nobody would wait so long",
            where="auth",
        )
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        hold = False
        return bool(done) and task.cancelled() and bool(await reranker.arerank(**_CALL))

    require(
        asyncio.run(run()),
        "a cancelled call goes on",
        why="servers cancel what nobody waits for, and cannot end before it does",
        where="auth: catch no BaseException, and block nowhere",
    )


def check_keys_never_show(case: Case) -> None:
    """No error, response or `repr` has the key in it, not even where the service echoes it."""
    reply = encoded(case, [(1, 0.75), (0, 0.25)], _CALL["documents"], None)
    reranker = Service(case, replying(reply)).reranker()
    shown = [repr(reranker), repr(target_of(reranker))]
    echo = case.encode_error(f"wrong key: {CANARY}")
    for status, content in ((200, reply), (200, b"no json"), (400, echo), (401, echo), (500, echo)):
        try:
            response = ask(case, _CALL, content, status=status)
        except RerankError as error:
            shown += [str(error), repr(error), repr(error.response)]
            shown += [*traceback.format_exception(error), *getattr(error, "__notes__", ())]
            shown += [str(pickle.loads(pickle.dumps(error)))]  # noqa: S301 - our own bytes
        else:
            shown += [repr(response), str(response.to_dict()), *response.warnings]
    found = next((text for text in shown if CANARY in text), None)
    require(
        found is None,
        f"the key is in: {found and shorten(found, 300)}",
        why="errors are logged and sent to services that collect them",
        where="auth, and what hooks put into messages and warnings",
    )
