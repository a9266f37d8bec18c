"""No reply, however spoilt, comes to anything but a whole ranking or an error of ours.

A larger budget than the ordinary one: `pytest tests/fuzz --hypothesis-profile=long`, or for hours
and guided by coverage, `fuzz_replies.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fuzz import mutations
from fuzz.findings import FINDINGS, REMOTE, Finding
from fuzz.mutations import Damage, Step, damage, spoil, write
from fuzz.promises import (
    DOCUMENTS,
    MOST_ERROR_CHARS,
    MOST_WARNING_CHARS,
    TEXTS,
    BrokenPromiseError,
    HostileReply,
    Target,
    check_error,
    check_response,
)
from fuzz.seeds import PLUGINS, Seed, cases_of, seeds_of
from rerank_core import (
    APIStatusError,
    BadRequestError,
    Document,
    HTTPResponse,
    RerankError,
    RerankResponse,
    RerankResult,
)
from rerank_core._resolve.secrets import clean, make_hider
from rerank_core.records import _text

pytestmark = pytest.mark.slow

ORDINARY = 40
STATUSES = (*range(200, 209), *range(300, 309), *range(400, 432), *range(500, 512), 529, 599)


def _budget() -> settings:
    """The ordinary one, unless a profile on the command line says otherwise."""
    wished = settings().max_examples
    return settings(
        max_examples=wished if wished > settings.get_profile("default").max_examples else ORDINARY,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what fails is small already
        suppress_health_check=list(HealthCheck),
    )


@functools.cache
def _targets(plugin: str) -> Sequence[tuple[Target, Sequence[Seed]]]:
    return [(Target(case), seeds_of(plugin, case, TEXTS)) for case in cases_of(plugin).values()]


_statuses = st.sampled_from([200] * 6 + [201, 202, 204]) | st.integers(100, 999)
_headers = st.dictionaries(
    st.sampled_from(mutations.HEADERS), st.sampled_from(mutations.HEADER_VALUES), max_size=3
)
_steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(mutations.OPERATIONS),
        st.integers(0, 60),
        st.sampled_from(mutations.VALUES),
        st.sampled_from(mutations.NAMES),
    ),
    max_size=3,
)
_damages: st.SearchStrategy[list[Damage]] = st.builds(list) | st.lists(
    st.builds(
        Damage,
        st.sampled_from(mutations.DAMAGES),
        st.integers(0, 1000),
        st.integers(1, 40),
        st.binary(max_size=4),
    ),
    max_size=2,
)


def _outcome_of(
    target: Target, seed: Seed, steps: Sequence[Step], damages: Sequence[Damage], **more: Any
) -> RerankResponse | RerankError:
    content = damage(write(spoil(seed.json, steps)), damages)
    return target.judge(HostileReply(content, **more))


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_spoilt_reply_is_a_whole_ranking_or_an_error(plugin: str) -> None:
    """Wherever a reply is changed, and however often."""
    targets = _targets(plugin)

    @_budget()
    @given(st.data(), _steps, _damages, _statuses, _headers, st.none() | st.integers(1, 4))
    def law(
        data: st.DataObject,
        steps: list[Step],
        damages: list[Damage],
        status: int,
        headers: Mapping[str, str],
        top_n: int | None,
    ) -> None:
        target, seeds = targets[data.draw(st.integers(0, len(targets) - 1), label="case")]
        seed = seeds[data.draw(st.integers(0, len(seeds) - 1), label="seed")]
        _outcome_of(target, seed, steps, damages, status=status, headers=headers, top_n=top_n)

    law()


@pytest.mark.slow
@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_value_in_every_place(plugin: str) -> None:
    """One place spoilt at a time: this is what a service's next version looks like."""
    for target, seeds in _targets(plugin):
        good = next(seed for seed in seeds if seed.status == 200)
        for at, _ in enumerate(mutations.places(good.json)):
            for value in mutations.VALUES:
                _outcome_of(target, good, [Step("replace", at, value)], [])


@pytest.mark.parametrize("plugin", REMOTE)
def test_every_status_is_what_it_says(plugin: str) -> None:
    """The good ones are read, and of all others each is an error with that status."""
    target, seeds = _targets(plugin)[0]
    ranking = write(seeds[0].json)
    refusal = write(next(seed.json for seed in seeds if seed.status == 401))
    share = range(100 + REMOTE.index(plugin), 600, len(REMOTE))  # all have each between them
    for status in sorted({*share, *STATUSES}):
        outcome = target.judge(HostileReply((ranking, refusal)[status % 2], status))

        if not 200 <= status < 300:
            assert isinstance(outcome, RerankError)
            assert outcome.status_code == status


@pytest.mark.parametrize("plugin", REMOTE)
def test_a_ranking_beside_an_error_is_none(plugin: str) -> None:
    """Wherever a reply has room for both."""
    for target, seeds in _targets(plugin):
        if isinstance(seeds[0].json, dict):
            both = {**seeds[0].json, "error": "overloaded"}

            assert isinstance(target.judge(HostileReply(write(both))), APIStatusError)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_replies_that_are_whole_pass(plugin: str) -> None:
    """What is judged is read in the first place: most seeds with a good status are rankings."""
    for target, seeds in _targets(plugin):
        made = [_outcome_of(target, seed, [], []) for seed in seeds[:3]]

        assert {type(outcome) for outcome in made} == {RerankResponse}


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.name)
def test_what_was_found_once_stays_mended(finding: Finding) -> None:
    """Each reply that once came to anything else ends in the error, or the ranking, it should."""
    for plugin in finding.plugins:
        for target, _ in _targets(plugin):
            outcome = target.judge(finding.reply)

            assert isinstance(outcome, finding.outcome)
            assert finding.says in str(outcome)


def test_the_bounds_of_texts_are_the_clients_own() -> None:
    """What is asked of every error and warning is what the client cuts them to."""
    error = BadRequestError("x" * 10 * MOST_ERROR_CHARS)

    clean(error, make_hider(()))

    assert len(error.message) == MOST_ERROR_CHARS == 1000
    assert len(_text.shorten("x" * 10 * MOST_WARNING_CHARS)) == MOST_WARNING_CHARS == 500


def test_a_text_that_is_a_character_too_long_is_noticed() -> None:
    """In an error or a warning; one that is just short enough is not."""
    reply = HostileReply(b"{}", 400)

    def error(length: int) -> RerankError:
        return BadRequestError("x" * length, provider="p", model="m", response=HTTPResponse(400))

    def answer(length: int) -> RerankResponse:
        results = [
            RerankResult(
                at, 1.0, Document(own) if isinstance(own, str) else Document(own["text"], own)
            )
            for at, own in enumerate(DOCUMENTS)
        ]
        return RerankResponse(results, id="one", warnings=("x" * length,))

    check_error(error(MOST_ERROR_CHARS), reply)
    check_response(answer(MOST_WARNING_CHARS), HostileReply(b"{}"))
    with pytest.raises(BrokenPromiseError, match="1001 characters"):
        check_error(error(MOST_ERROR_CHARS + 1), reply)
    with pytest.raises(BrokenPromiseError, match="501 characters"):
        check_response(answer(MOST_WARNING_CHARS + 1), HostileReply(b"{}"))
