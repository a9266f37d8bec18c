"""What `rerank rank` prints, what `--help` shows, and what wrong use is told."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rerank_core import InstalledProvider, PluginSource, Provider
from rerank_core._cli import commands
from rerank_core._cli.plugins import cli

DOCUMENTS = '{"text": "the red fox", "index": "no. 7"}\n"red red rose"\n"blue, sky"\n'
STEERING = "\x9b31m \u202e \x7f \u2066 \u200f \x85"


def run(*args: str, content: str = DOCUMENTS) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, args, input=content, prog_name="rerank")


def rank(*args: str, content: str = DOCUMENTS) -> Result:
    """Rank what stands on standard input."""
    return run("rank", "--model", "local/bm25", *args, "red", "-", content=content)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output that passes for a terminal, 80 columns wide."""
    monkeypatch.setattr(commands, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")


def test_csv_has_a_column_for_each_field() -> None:
    """A string is under `text`; a field that is named as a column of ours is told apart."""
    rows = list(csv.DictReader(io.StringIO(rank("--format", "csv").stdout)))

    assert list(rows[0]) == ["index", "relevance_score", "text", "document.index"]
    assert [row["index"] for row in rows] == ["1", "0", "2"]
    assert [row["text"] for row in rows] == ["red red rose", "the red fox", "blue, sky"]
    assert [row["document.index"] for row in rows] == ["", "no. 7", ""]
    assert float(rows[0]["relevance_score"]) > float(rows[1]["relevance_score"])


def test_json_is_the_whole_response() -> None:
    """One object, with the documents as they came."""
    whole = json.loads(rank("--format", "json", "--top-n", "1").stdout)

    assert [list(row) for row in whole["results"]] == [["index", "relevance_score", "document"]]
    assert whole["results"][0]["document"] == "red red rose"
    assert whole["id"]


def test_a_table_can_be_asked_for() -> None:
    """Where there is no terminal, too."""
    assert rank("--format", "table").stdout.split()[:4] == ["rank", "score", "index", "text"]


def test_json_is_short_for_json_lines() -> None:
    """And contradicts the other formats."""
    refused = rank("--json", "--format", "csv")

    assert rank("--json").stdout == rank("--format", "jsonl").stdout == rank().stdout
    assert refused.exit_code == 2
    assert "leave it out beside --format csv" in refused.stderr


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("form", ["table", "jsonl", "csv", "json"])
def test_nothing_steers_a_terminal(form: str) -> None:
    """In no format; what is JSON says the same as before."""
    content = json.dumps(f"red {STEERING} end") + "\n" + json.dumps({"\x9bname": "blue"})
    shown = rank("--format", form, content=content).stdout

    assert "red" in shown
    assert [char for char in STEERING.replace(" ", "") if char in shown and ord(char) > 126] == []
    if form == "jsonl":
        assert json.loads(shown.splitlines()[0])["document"] == f"red {STEERING} end"


def test_a_program_gets_text_as_it_is() -> None:
    """Escapes are for terminals."""
    assert "\u202e é" in rank(content='"red \u202e é"').stdout


@pytest.mark.parametrize(
    "args", [[], *([name] for name in ("rank", "demo", "providers", "doctor", "check-plugin"))]
)
def test_help_fits_a_screen(args: list[str]) -> None:
    """Of 80 columns and 24 lines."""
    lines = run(*args, "--help").stdout.splitlines()

    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rank", "red", "-"], "write --model PROVIDER/MODEL, for example --model local/bm25"),
        (["rnak"], "Did you mean 'rank'?"),
        (["a question", "file"], "rerank rank --model local/bm25 QUERY FILE"),
        (["rank", "--api-key", "x", "red", "-"], "keys come from the environment"),
        (["rank", "-k", "3", "red", "-"], "no such option: -k: write --top-n"),
        (["rank", "--max-results", "3", "red", "-"], "write --top-n"),
        (["rank", "--base-url", "http://a.test", "red", "-"], "write --api-base"),
        (
            ["rank", "--model", "local/bm25", "--param", "api_key=x", "red", "-"],
            "keys come from the environment",
        ),
        (["rank", "--model", "local/bm25", "--param", "top_n=3", "red", "-"], "write --top-n"),
    ],
)
def test_wrong_use_says_what_to_write(args: list[str], said: str) -> None:
    """On standard error, as wrong usage."""
    result = run(*args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_a_first_look() -> None:
    """Ranks the sample that comes along, and says how to rank one's own."""
    result = run("demo")
    rows = [json.loads(line) for line in result.stdout.splitlines()]

    assert [row["index"] for row in rows][:2] == [9, 18]
    assert len(rows) == 5
    assert "rerank rank --model local/bm25 --top-n 5" in result.stderr
    assert '"your query" documents.csv' in result.stderr


def list_these(monkeypatch: pytest.MonkeyPatch, *found: InstalledProvider) -> None:
    """Let these be all that is installed."""
    monkeypatch.setattr(commands, "list_providers", lambda: list(found))


ACME = Provider(name="acme", api_key_env=("ACME_KEY", "OLD_KEY"), models=("small", "large"))
SOURCE = PluginSource("acme", "rerank-acme", "1.0")
BROKEN = InstalledProvider(
    "rotten", PluginSource("rotten", "rerank-rotten", "1.0"), error="import failed (mould)"
)


def test_an_alias_stands_beside_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, for programs too."""
    names = ("acme", "acme_ai", "ac")
    list_these(
        monkeypatch, *(InstalledProvider(name, SOURCE, facts=ACME) for name in names), BROKEN
    )
    rows = [json.loads(line) for line in run("providers").stdout.splitlines()]

    assert [(row["name"], row["aliases"]) for row in rows] == [
        ("acme", ["acme_ai", "ac"]),
        ("rotten", []),
    ]


@pytest.mark.usefixtures("terminal")
def test_the_table_of_providers_has_a_line_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to say."""
    many = tuple(f"model-{number}" for number in range(50))
    facts = Provider(name="acme", api_key_env=("ACME_KEY",), models=many)
    list_these(monkeypatch, InstalledProvider("acme", SOURCE, facts=facts), BROKEN)
    lines = [line for line in run("providers").stdout.splitlines() if line.strip()]

    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert "broken" in lines[-1]


def test_doctor_tells_how_to_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each thing that is broken, and each key that is missing."""
    for name in ACME.api_key_env:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    list_these(monkeypatch, InstalledProvider("acme", PluginSource("acme"), facts=ACME), BROKEN)
    result = run("doctor")

    assert result.exit_code == 3
    assert "  key: missing\n" in result.stdout
    assert "  to use it: export ACME_KEY=...\n" in result.stdout
    assert "pip install --upgrade --force-reinstall rerank-rotten\n" in result.stdout
    assert "  to mend it: unset SSL_CERT_FILE" in result.stdout


def test_doctor_says_what_to_install_where_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    list_these(monkeypatch)
    result = run("doctor")

    assert result.exit_code == 0
    assert "pip install rerank-local" in result.stdout
