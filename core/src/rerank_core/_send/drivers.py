"""The two that carry out what flows ask for: one blocks, one awaits."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from rerank_core._send.effects import Await, Flow, Gather, Run, Send, Sleep
from rerank_core._send.loops import wake
from rerank_core._send.sending import asend, send
from rerank_core.errors import RequestTimeoutError


class BlockingDriver:
    """Runs flows in the calling thread, and flows side by side in threads of their own."""

    is_over = False
    """Whether nobody waits for its flows any longer."""

    def run(self, flow: Flow) -> Any:
        """What the flow returns; nothing, where nobody waits for it any longer."""
        try:
            effect = next(flow)
            while not self.is_over:
                try:
                    outcome = self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    def _carry_out(self, effect: Any) -> Any:
        match effect:
            case Send():
                try:
                    return within(effect.deadline, partial(send, effect))
                except BaseException:
                    effect.is_over = True
                    raise
            case Run():
                return within(effect.deadline, effect.function)
            case Await():
                return _result_of(effect)
            case Gather():
                return self._gather(effect)
            case Sleep():
                return time.sleep(effect.seconds)
            case _:
                raise TypeError(effect)

    def _gather(self, effect: Gather) -> list[Any]:
        waiting = deque(enumerate(effect.flows))
        ended: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        runner = BlockingDriver()

        def work() -> None:
            while waiting and not runner.is_over:
                try:
                    at, flow = waiting.popleft()
                except IndexError:  # another thread took the last
                    return
                outcome, error = outcome_of(partial(runner.run, flow))
                if error is not None:
                    runner.is_over = True  # at once: what follows would be paid for in vain
                ended.put((at, outcome, error))

        outcomes: list[Any] = [None] * len(effect.flows)
        try:
            for _ in range(min(effect.limit, len(effect.flows))):
                start_thread(work)
            for _ in effect.flows:
                at, outcomes[at], error = ended.get()
                if error is not None:
                    raise error
        finally:
            runner.is_over = True
        return outcomes


def _result_of(effect: Await) -> Any:
    try:
        return effect.future.result(None if effect.deadline is None else remaining(effect.deadline))
    except TimeoutError:
        raise deadline_passed() from None


class AsyncDriver:
    """Runs flows in the running event loop, under asyncio or trio."""

    async def run(self, flow: Flow) -> Any:
        try:
            effect = next(flow)
            while True:
                try:
                    outcome = await self._carry_out(effect)
                except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                    effect = flow.throw(error)
                else:
                    effect = flow.send(outcome)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def _carry_out(self, effect: Any) -> Any:
        with _deadline_scope(getattr(effect, "deadline", None)):
            match effect:
                case Send():
                    return await asend(effect)
                case Run():
                    return await _run(effect.function)
                case Await():
                    await _until_done(effect.future)
                    return effect.future.result()
                case Gather():
                    return await self._gather(effect)
                case Sleep():
                    return await anyio.sleep(effect.seconds)
                case _:
                    raise TypeError(effect)

    async def _gather(self, effect: Gather) -> list[Any]:
        outcomes: list[Any] = [None] * len(effect.flows)
        failures: list[Exception] = []
        limiter = anyio.Semaphore(effect.limit)

        async def work(at: int, flow: Flow) -> None:
            async with limiter:
                try:
                    outcomes[at] = await self.run(flow)
                except Exception as error:  # noqa: BLE001 - raised below, not in a group
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for at, flow in enumerate(effect.flows):
                group.start_soon(work, at, flow)
        if failures:
            raise failures[0]
        return outcomes


async def _run(function: Callable[[], Any]) -> Any:
    # In a list, because trio lets no thread return what is to be awaited.
    [found] = await anyio.to_thread.run_sync(lambda: [function()], abandon_on_cancel=True)
    return await found if inspect.isawaitable(found) else found


async def _until_done(future: Future[Any]) -> None:
    loop, done = anyio.lowlevel.current_token().native_token, anyio.Event()
    future.add_done_callback(lambda _: wake(loop, done.set))
    await done.wait()


@contextlib.contextmanager
def _deadline_scope(deadline: float | None) -> Iterator[None]:
    """Cancel what is awaited inside at the deadline."""
    if deadline is None:
        yield
        return
    with anyio.move_on_after(remaining(deadline)) as scope:
        yield
    if scope.cancelled_caught:
        raise deadline_passed()


def outcome_of(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What a function returns or raises, to be handed to another thread."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
        return None, error


def start_thread(function: Callable[[], None]) -> None:
    """Start a thread that no exit waits for, with the caller's context variables."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(function,), name="rerank", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        # What comes of an interrupt while `start` waits for the thread to have begun.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def within(deadline: float | None, function: Callable[[], Any]) -> Any:
    """Call the function, and stop waiting for it at the deadline.

    A look-up of a name, a trickling reply and a long computation heed no timeout, so with a
    deadline they run in a thread that is left behind when it passes.
    """
    if deadline is None:
        return function()
    seconds = remaining(deadline)
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    try:
        start_thread(lambda: box.put(outcome_of(function)))
        outcome, error = box.get(timeout=seconds)
    except queue.Empty:
        raise deadline_passed() from None
    if error is not None:
        raise error
    return outcome


def remaining(deadline: float) -> float:
    """The seconds until then."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise deadline_passed()
    return seconds


def deadline_passed() -> RequestTimeoutError:
    """What is raised then."""
    return RequestTimeoutError("the deadline has passed")
