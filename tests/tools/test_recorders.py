"""VCR.py records our calls, and replays them when the service is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
import vcr  # type: ignore[import-untyped]  # has no types
from vcr.errors import (  # type: ignore[import-untyped]  # likewise
    CannotOverwriteExistingCassetteException,
)

from recorder import Reply, recording
from rerank_core import TransportError
from tools.conftest import KEY, RANKING, Ask, order


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_call_is_recorded_and_replayed(ask: Ask, tmp_path: Path) -> None:
    """The key is not on the cassette where the recorder is told so; the ranking is."""
    recorder = vcr.VCR(filter_headers=["authorization"])
    cassette = tmp_path / "call.yaml"
    with recording(Reply(RANKING)) as service:
        with recorder.use_cassette(cassette, record_mode="once"):
            first = ask(api_base=service.base_url)
        sent = len(service.requests)
        base = service.base_url
    with recorder.use_cassette(cassette, record_mode="none") as tape:
        again = ask(api_base=base)

    text = cassette.read_text(encoding="utf-8")
    assert sent == 1
    assert tape.play_count == 1
    assert order(first) == order(again) == [1, 2, 0]
    assert first.id == again.id == "reply"
    assert "/v2/rerank" in text
    assert KEY not in text


def test_a_split_list_is_replayed(ask: Ask, tmp_path: Path) -> None:
    """Each part gets the reply that belongs to its own documents."""
    cassette = tmp_path / "split.yaml"
    matched = ("method", "uri", "body")
    documents = [f"{at}" for at in range(6)]
    with recording(Reply(RANKING)) as service:
        with vcr.use_cassette(cassette, record_mode="once", match_on=matched):
            first = ask(api_base=service.base_url, documents=documents, max_documents=3)
        base = service.base_url
    with vcr.use_cassette(cassette, record_mode="none", match_on=matched) as tape:
        again = ask(api_base=base, documents=documents, max_documents=3)

    assert tape.play_count == 2
    assert order(first) == order(again)


def test_what_was_not_recorded_is_not_sent(ask: Ask, tmp_path: Path) -> None:
    """A cassette that may not grow refuses; the service is not reached."""
    cassette = tmp_path / "empty.yaml"
    with recording(Reply(RANKING)) as service:
        with (
            vcr.use_cassette(cassette, record_mode="none"),
            pytest.raises((TransportError, CannotOverwriteExistingCassetteException)),
        ):
            ask(api_base=service.base_url)

        assert service.requests == []
