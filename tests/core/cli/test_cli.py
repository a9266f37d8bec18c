"""The command line: what it prints where, and the code it exits with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from runpy import run_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from rerank_core import (
    Compute,
    InstalledProvider,
    PluginSource,
    Provider,
    RerankResponse,
    RerankResult,
    UnsupportedParamError,
    hookimpl,
    list_providers,
    register,
    unregister,
)
from rerank_core._cli import commands as _cli
from rerank_core._cli import main
from rerank_core._cli.plugins import cli
from rerank_core._version import __version__

COMMANDS = "rerank_core._cli.plugins"  # what the command line begins by importing
KEY = "sk-never-shown-0123456789"
DOCUMENTS = "the red fox\nthe blue sky\na red red rose\n"


class Echo:
    """A provider in this process that scores by length and notes what it was given."""

    def __init__(self) -> None:
        self.facts = Provider(
            name="echo",
            auth=None,
            api_key_required=False,
            params={"max_tokens_per_doc": "max_tokens_per_doc"},
            extra_params={"truncation": "truncation", "note": "note"},
            options={"region": ("ECHO_REGION",)},
            secret_options={"token": ("ECHO_TOKEN",)},
            watched_env=("ECHO_HOME",),
            takes_mappings=True,
        )
        self.params: dict[str, Any] = {}
        self.documents: Sequence[Any] = ()
        self.failure: BaseException | None = None
        self.warnings: tuple[str, ...] = ()

    @hookimpl
    def resolve_provider(self) -> Provider:
        """State the facts."""
        return self.facts

    @hookimpl
    def map_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """Note the parameters."""
        self.params = dict(params)
        return self.params

    @hookimpl
    def build_request(self, request: Any) -> Compute:
        """Score by length."""
        self.documents = request.documents
        return Compute(self._score)

    def _score(self) -> list[int]:
        if self.failure:
            raise self.failure
        return [len(str(document)) for document in self.documents]

    @hookimpl
    def parse_response(self, payload: list[int]) -> RerankResponse:
        """Number the scores."""
        results = [RerankResult(at, score) for at, score in enumerate(payload)]
        return RerankResponse(results, warnings=self.warnings)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A registered provider called `echo`."""
    plugin = Echo()
    register(plugin)
    yield plugin
    unregister("echo")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output that passes for a terminal, 60 columns wide."""
    monkeypatch.setattr(_cli, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    """A service on loopback that answers with `status` and `body`."""
    state = SimpleNamespace(status=200, body="{}", url="", headers={})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            state.headers = dict(self.headers)
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(state.body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def run(*args: str, input: str | bytes | None = None) -> Result:  # noqa: A002 - click's name
    """Run a command in this process."""
    return CliRunner().invoke(cli, args, input=input, prog_name="rerank")


def rank(*args: str, input: str | bytes = DOCUMENTS, model: str = "echo/m") -> Result:  # noqa: A002 - click's name
    """Rank what stands on standard input."""
    return run("rank", "--model", model, *args, "red", "-", input=input)


def run_process(
    *args: str, python: Sequence[str] = ("-m", "rerank_core"), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, *python, *args]
    return subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False, encoding="utf-8", **options
    )


def rows(result: Result) -> list[dict[str, Any]]:
    """The JSON Lines on standard output."""
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def test_ranks_lines_as_json_lines_where_there_is_no_terminal() -> None:
    """One object per result, best first, with the document as it came."""
    result = rank(model="local/bm25")

    assert result.exit_code == 0
    assert [row["index"] for row in rows(result)] == [2, 0, 1]
    assert list(rows(result)[0]) == ["index", "relevance_score", "document"]
    assert rows(result)[0]["document"] == "a red red rose"
    assert result.stderr == ""


def test_reads_a_file(tmp_path: Path) -> None:
    """FILE names a file."""
    file = tmp_path / "documents.txt"
    file.write_text(DOCUMENTS, encoding="utf-8")
    result = run("rank", "--model", "local/bm25", "--top-n", "1", "red", str(file))

    assert [row["index"] for row in rows(result)] == [2]


def test_reads_json_lines_of_strings_and_objects(echo: Echo) -> None:
    """Where every line is a JSON string or object, each is one document."""
    result = rank(input='"a\\nb"\n\n{"title": "T", "text": "\u2028 é"}\r\n')

    assert echo.documents == ["a\nb", {"title": "T", "text": "\u2028 é"}]
    assert {row["index"]: row["document"] for row in rows(result)} == dict(
        enumerate(echo.documents)
    )
    assert result.stderr == ""


def test_index_counts_documents_not_blank_lines(echo: Echo) -> None:
    """Blank lines are skipped; the index is the position among the documents."""
    result = rank(input="\n\na\n \t\nbb\r\n")

    assert echo.documents == ["a", "bb"]
    assert [row["index"] for row in rows(result)] == [1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a"}\nb\n', "line 2 is not JSON (unexpected character"),
        ('b\n\n{"text": "a"}\n', "line 1 is not JSON"),
        ('\n"a"\n3\n', "line 3 is JSON, but neither a string nor an object"),
        ("{\n}\n", "it is one JSON object"),
    ],
)
def test_a_broken_line_of_json_lines_is_wrong_usage(echo: Echo, content: str, said: str) -> None:
    """To rank all lines as text would be another ranking; the message says how to have that."""
    result = rank(input=content)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "--input text" in result.stderr
    assert not echo.documents

    rank("--input", "text", input=content)

    assert echo.documents == [line for line in content.split("\n") if line]


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "a"}, {"text": "b"',
        '[\n "a",\n "b",\n]\n',
        '{"text": "a"}, {"text": "b"}\n',
        '{"text": "a"}{"text": "b"}\n',
        '{\n"text": "a"\n}\n{\n"text": "b"\n}\n',
        "{'text': 'a'}\n{'text': 'b'}\n",
        "['a', 'b']",
    ],
)
def test_what_begins_as_json_is_not_ranked_as_text(echo: Echo, content: str) -> None:
    """An array that was cut, a comma too many, objects side by side, another language's quotes."""
    result = rank(input=content)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "line 1 is not JSON" in result.stderr
    assert not echo.documents


@pytest.mark.parametrize("content", ["[1] a note", "[WARN] a log", "{x} a", "[[wiki]] link", "{"])
def test_text_may_begin_with_a_bracket(echo: Echo, content: str) -> None:
    """Which makes no JSON of it."""
    result = rank(input=content)

    assert echo.documents == [content]
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["documents.jsonl", "documents.ndjson"])
@pytest.mark.usefixtures("echo")
def test_a_file_named_json_lines_is_json_lines(name: str, tmp_path: Path) -> None:
    """Also where no line of it is."""
    file = tmp_path / name
    file.write_text("a\nb\n", encoding="utf-8")
    result = run("rank", "--model", "echo/m", "red", str(file))

    assert result.exit_code == 2
    assert "line 1 is not JSON" in result.stderr


@pytest.mark.usefixtures("echo")
def test_json_lines_can_be_asked_for() -> None:
    """Of standard input, which has no name."""
    result = rank("--input", "jsonl", input="a\n")

    assert result.exit_code == 2
    assert "line 1 is not JSON" in result.stderr


def test_text_may_hold_a_line_in_quotes(echo: Echo) -> None:
    """Which is a JSON string as well: a warning says that it was not taken for one."""
    result = rank(input='he said\n"Yes."\n')

    assert echo.documents == ["he said", '"Yes."']
    assert "warning: line 1 is not JSON" in result.stderr
    assert "all is text" in result.stderr


def test_takes_a_byte_order_mark_off(echo: Echo) -> None:
    """Some editors write one."""
    rank(input=b"\xef\xbb\xbfa\n")

    assert echo.documents == ["a"]


def test_an_empty_file_is_an_empty_ranking() -> None:
    """There is nothing to rank, and nothing is printed."""
    result = rank(input="", model="local/bm25")

    assert (result.exit_code, result.output) == (0, "")


def test_passes_options_on(echo: Echo) -> None:
    """Fields reach the request, parameters the hooks: JSON where they read as JSON, else text."""
    fields = ["--rank-fields", "title, text", "--deadline", "9", "--timeout", "8"]
    params = ["truncation=true", "note=a=b", "max_tokens_per_doc=7"]
    result = rank(
        *fields,
        *(part for param in params for part in ("--param", param)),
        input='{"text": "a", "title": "b"}',
    )

    assert result.exit_code == 0
    assert echo.params == {"truncation": True, "note": "a=b", "max_tokens_per_doc": 7}


def test_an_empty_value_is_empty_text(echo: Echo) -> None:
    """Not JSON's idea of nothing."""
    rank("--param", "note=")

    assert echo.params == {"note": ""}


@pytest.mark.parametrize(
    "param",
    [f"api_key={KEY}", "headers={}", "extra_headers={}", "top_n=1", "query=x", "truncation", "=1"],
)
@pytest.mark.usefixtures("echo")
def test_param_takes_neither_keys_nor_what_has_an_option(param: str) -> None:
    """A key on the command line would show in the list of processes."""
    result = rank("--param", param)

    assert result.exit_code == 2
    assert "--param" in result.stderr
    assert KEY not in result.output


@pytest.mark.usefixtures("echo")
def test_param_takes_no_secret_option() -> None:
    """The message names the variable that takes it."""
    result = rank("--param", f"token={KEY}")

    assert result.exit_code == 2
    assert "token is secret: set ECHO_TOKEN instead" in result.stderr
    assert KEY not in result.output


def test_there_is_no_option_for_a_key() -> None:
    """Keys come from the environment."""
    names = [name for option in _cli.rank.params for name in option.opts]

    assert not [name for name in names if "key" in name or "header" in name]


@pytest.mark.usefixtures("terminal")
def test_prints_a_table_on_a_terminal(echo: Echo) -> None:
    """Rank, score, index and text, cut to the width, with nothing that steers the terminal."""
    result = rank(input="a\x1b[31m [bold]b\n" + "long " * 40 + "\n")
    lines = result.stdout.splitlines()

    assert lines[1].split() == ["rank", "score", "index", "text"]
    assert lines[3].split()[:4] == ["1", f"{len(echo.documents[1]):.1f}", "1", "long"]
    assert "…" in lines[3]
    assert "[31m [bold]b" in lines[4]
    assert "\x1b" not in result.stdout
    assert max(map(len, lines)) <= 60


@pytest.mark.usefixtures("terminal", "echo")
def test_the_table_shows_a_blank_document_without_a_score() -> None:
    """Nothing is claimed about it."""
    result = rank(input='""\n"a"\n')

    assert result.stdout.splitlines()[4].split() == ["2", "-", "0"]


@pytest.mark.usefixtures("terminal", "echo")
@pytest.mark.parametrize("columns", ["5", "20", "28"])
def test_the_text_gives_way_before_scores_and_indices(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However narrow the terminal is; it wraps what does not fit."""
    monkeypatch.setenv("COLUMNS", columns)
    rows = [line.split() for line in rank(input="fox " * 20 + "\nb\n").stdout.splitlines()]

    assert rows[3][:3] == ["1", "80.00", "0"]
    assert rows[4][:3] == ["2", "1.000", "1"]


@pytest.mark.usefixtures("echo")
def test_a_terminal_that_cannot_show_a_character_is_shown_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In place of the whole ranking."""
    monkeypatch.setattr(_cli, "is_terminal", lambda: True)
    args = ["rank", "--model", "echo/m", "q", "-"]
    result = CliRunner(charset="ascii").invoke(cli, args, input="Zürich".encode())

    assert result.exit_code == 0
    assert "Z?rich" in result.stdout


@pytest.mark.usefixtures("terminal", "echo")
def test_json_on_a_terminal() -> None:
    """`--json` asks for it."""
    assert [row["index"] for row in rows(rank("--json"))] == [2, 1, 0]


def test_warnings_go_to_standard_error(echo: Echo) -> None:
    """In one line each, with nothing that steers the terminal."""
    echo.warnings = ("soon \x1b[2J\n retired",)
    result = rank()

    assert result.stderr == "warning: soon  [2J retired\n"
    assert len(rows(result)) == 3


@pytest.mark.parametrize(
    "args",
    [
        ["rank"],
        ["rank", "q", "-"],
        ["rank", "--model", "local/bm25", "q", "no such file"],
        ["rank", "--model", "local/bm25", "--top-n", "0", "q", "-"],
        ["rank", "--model", "local/bm25", "--timeout", "0", "q", "-"],
        ["rank", "--model", "local/bm25", "--api-key", KEY, "q", "-"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(args: list[str]) -> None:
    """As everywhere on the command line."""
    result = run(*args, input="a\n")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert KEY not in result.output


def test_text_that_is_not_utf_8_is_wrong_usage() -> None:
    """The message says where."""
    result = rank(input=b"ab\xff", model="local/bm25")

    assert result.exit_code == 2
    assert "not UTF-8 (byte 2)" in result.stderr


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("bm25", "names no provider"),
        ("locl/bm25", "did you mean 'local'?"),
        ("local/bm52", "has no model"),
        ("cohere/rerank-v3.5", "COHERE_API_KEY"),
    ],
)
def test_configuration_errors_exit_with_3(
    model: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in one line on standard error."""
    for name in ("COHERE_API_KEY", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    result = rank(model=model)

    assert (result.exit_code, result.stdout) == (3, "")
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "failure", [UnsupportedParamError("not this", param="note"), RuntimeError("a bug")]
)
def test_a_plugin_that_fails_exits_with_3(echo: Echo, failure: Exception) -> None:
    """Its own refusals, and its bugs."""
    echo.failure = failure
    result = rank()

    assert result.exit_code == 3
    assert str(failure) in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, '{"message": "invalid api token"}', "status 401: invalid api token"),
        (500, "\x1b[2Jboom", "status 500"),
        (200, '{"results": [{"index": 9, "relevance_score": 1}]}', "results[0].index"),
        (200, "<html>", "not JSON"),
    ],
)
def test_a_failing_provider_exits_with_4(
    service: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: str,
    said: str,
) -> None:
    """An error status and an unreadable reply; the key, which was sent, is not shown."""
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    service.status, service.body = status, body
    result = rank("--api-base", service.url, "--max-retries", "0", model="cohere/m")

    assert (result.exit_code, result.stdout) == (4, "")
    assert said in result.stderr
    assert service.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in result.output
    assert "\x1b" not in result.output


def test_an_unreachable_provider_exits_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on port 1."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    result = rank("--api-base", "http://127.0.0.1:1", "--max-retries", "0", model="infinity/m")

    assert result.exit_code == 4
    assert result.stderr.startswith("error: infinity/m: POST http://127.0.0.1:1/rerank: ")


def test_notes_of_an_error_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """They say what else went wrong."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    options = ("--max-retries", "9", "--deadline", "0.001")
    result = rank(*options, "--api-base", "http://127.0.0.1:1", model="infinity/m")

    assert result.exit_code == 4
    assert "deadline" in result.stderr


def test_an_interrupt_exits_with_130(echo: Echo) -> None:
    """Without a word."""
    echo.failure = KeyboardInterrupt()
    result = rank()

    assert (result.exit_code, result.output) == (130, "")


def test_providers_as_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, distribution, version, models, and whether there is a key; never the key."""
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.delenv("INFINITY_API_KEY", raising=False)
    result = run("providers")
    listed = {row["name"]: row for row in rows(result)}

    assert result.exit_code == 0
    assert listed["cohere"].items() >= {
        ("distribution", "rerank-cohere"),
        ("version", __version__),
        ("key", "found"),
        ("error", None),
    }
    assert "rerank-v3.5" in listed["cohere"]["models"]
    assert listed["cohere"]["key_variables"] == ["CO_API_KEY"]
    assert (listed["infinity"]["key"], listed["infinity"]["key_variables"]) == (
        "optional",
        ["INFINITY_API_KEY"],
    )
    assert listed["local"]["key"] == "not needed"
    assert KEY not in result.output


def test_a_missing_key_names_every_variable_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable holds no key."""
    monkeypatch.setenv("COHERE_API_KEY", "")
    monkeypatch.delenv("CO_API_KEY", raising=False)
    listed = {row["name"]: row for row in rows(run("providers", "--json"))}

    assert listed["cohere"]["key"] == "missing"
    assert listed["cohere"]["key_variables"] == ["COHERE_API_KEY", "CO_API_KEY"]


def test_a_provider_that_signs_in_by_itself(echo: Echo) -> None:
    """It has no variable of its own, but is not keyless."""
    unregister("echo")
    echo.facts = Provider(name="echo", auth=lambda *_: None, api_key_required=False)
    register(echo)
    listed = {row["name"]: row for row in rows(run("providers"))}

    assert listed["echo"]["key"] == "its own sign-in"
    assert listed["echo"]["distribution"] is None


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing without whatever else is installed and may be broken."""
    names = {"cohere", "infinity", "local", "echo"}
    monkeypatch.setattr(
        _cli, "list_providers", lambda: [row for row in list_providers() if row.name in names]
    )


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing with one broken plugin."""
    row = InstalledProvider("rotten", PluginSource("rotten"), error="mould")
    monkeypatch.setattr(_cli, "list_providers", lambda: [row])


@pytest.mark.usefixtures("terminal")
def test_providers_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal."""
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    result = run("providers")

    assert result.stdout.split()[0] == "provider"
    (line,) = (line for line in result.stdout.splitlines() if line.strip().startswith("cohere"))
    assert "found" in line
    assert KEY not in result.stdout


@pytest.mark.usefixtures("terminal", "broken")
def test_the_table_shows_a_broken_plugin_with_its_error() -> None:
    """Beside the others, and the listing itself succeeds."""
    result = run("providers")

    assert result.exit_code == 0
    assert "broken: mould" in result.stdout


@pytest.mark.usefixtures("echo", "sound")
def test_doctor_says_what_is_installed_and_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, extras and variables, without the value of any."""
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    monkeypatch.setenv("ECHO_TOKEN", KEY)
    monkeypatch.setenv("https_proxy", f"http://me:{KEY}@proxy.example")
    for unset in ("CO_API_KEY", "SSL_CERT_FILE"):
        monkeypatch.delenv(unset, raising=False)
    result = run("doctor")

    assert result.exit_code == 0
    for line in (
        f"rerank-core {__version__}, Python {sys.version_info.major}.",
        "  extra cli: click ",
        "  extra cli: rich ",
        f"cohere: the plugin rerank-cohere {__version__}\n  key: found\n  COHERE_API_KEY: set\n",
        "  CO_API_KEY: not set\n",
        "  INFINITY_API_BASE: ",
        "  extra stemmer: ",
        "  ECHO_REGION: not set\n  ECHO_TOKEN: set\n",
        "  ECHO_HOME: not set\n",
        "  HTTPS_PROXY: set\n",
        "  SSL_CERT_FILE: not set\n",
        "nothing is broken\n",
    ):
        assert line in result.stdout
    assert KEY not in result.output
    assert "proxy.example" not in result.output


@pytest.mark.usefixtures("broken")
def test_doctor_exits_with_3_where_a_plugin_is_broken() -> None:
    """And says why; its missing extras are no fault."""
    result = run("doctor")

    assert result.exit_code == 3
    assert "rotten: the plugin for 'rotten'\n  broken: mould\n" in result.stdout
    assert result.stdout.endswith("1 broken, see above\n")


def test_doctor_finds_a_certificate_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No connection could be made with it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    result = run("doctor")

    assert result.exit_code == 3
    assert "  broken: SSL_CERT_FILE names no file" in result.stdout
    assert "gone.pem" not in result.output


@pytest.mark.usefixtures("sound")
def test_doctor_says_which_extras_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no fault."""
    monkeypatch.setattr(metadata, "distributions", lambda **_: iter(()))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    result = run("doctor")

    assert result.exit_code == 0
    assert "  extra cli: rich not installed: pip install 'rerank-core[cli]'\n" in result.stdout


def test_version() -> None:
    """The package's own."""
    assert run("--version").output == f"rerank {__version__}\n"


@pytest.mark.parametrize("args", [[], ["rank"], ["providers"], ["doctor"]])
def test_help(args: list[str]) -> None:
    """Of the whole and of each command."""
    result = run(*args, "--help")

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: rerank")


def test_runs_as_a_module() -> None:
    """`python -m rerank_core` is the same as `rerank`."""
    result = run_process("rank", "--model", "local/bm25", "red", "-", input=DOCUMENTS)

    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line)["index"] for line in result.stdout.splitlines()] == [2, 0, 1]


@pytest.mark.parametrize("start", [main, lambda: run_module("rerank_core", run_name="__main__")])
def test_main_runs_the_command_line(
    start: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what the console script and `python -m` call."""
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    with pytest.raises(SystemExit) as end:
        start()

    assert end.value.code == 0
    assert capsys.readouterr().out == f"rerank {__version__}\n"


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (ModuleNotFoundError(name="rich.box"), 3, "pip install 'rerank-core[cli]'"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_main_ends_quietly_where_the_commands_cannot_be_imported(
    failure: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For want of the extra, or because somebody cannot wait."""

    class Unimportable(ModuleType):
        def __getattr__(self, _: str) -> None:
            raise failure

    monkeypatch.setitem(sys.modules, COMMANDS, Unimportable("commands"))
    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == code
    assert said in capsys.readouterr().err


def test_main_raises_what_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send people the wrong way."""
    monkeypatch.setitem(sys.modules, COMMANDS, None)
    with pytest.raises(ModuleNotFoundError):
        main()


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra_says_what_to_install(name: str, tmp_path: Path) -> None:
    """And exits with 3."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{name!r}] = None\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = run_process("providers", env=environment)

    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.endswith("pip install 'rerank-core[cli]'\n")
    assert result.stderr.count("\n") == 1


def test_without_a_command_importing_the_module_needs_no_click() -> None:
    """So that the console script can say what is missing."""
    code = "import sys, rerank_core._cli; sys.exit('click' in sys.modules)"

    assert run_process(python=("-c", code)).returncode == 0


@pytest.mark.slow
def test_a_broken_plugin_fails_for_whoever_names_it_and_for_nobody_else(tmp_path: Path) -> None:
    """A distribution whose module cannot be imported, seen by each of the commands."""
    info = tmp_path / "rerank_rotten-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rerank-rotten\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rerank_core.providers]\nrotten = rerank_rotten\n")
    (tmp_path / "rerank_rotten.py").write_text("raise RuntimeError('mould')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    commands = [
        ("rank", "--model", "local/bm25", "red", "-"),
        ("rank", "--model", "rotten/m", "red", "-"),
        ("providers",),
        ("doctor",),
    ]
    with ThreadPoolExecutor() as threads:  # each of them takes a while
        sound, rotten, listing, doctor = threads.map(
            lambda args: run_process(*args, input=DOCUMENTS, env=environment), commands
        )

    assert sound.returncode == 0
    assert (rotten.returncode, rotten.stdout) == (3, "")
    assert "rerank-rotten 1.0: import failed (RuntimeError: mould)" in rotten.stderr
    assert "Traceback" not in rotten.stderr
    assert listing.returncode == 0
    assert "RuntimeError: mould" in listing.stdout
    assert doctor.returncode == 3
    assert "RuntimeError: mould" in doctor.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_real_terminal_gets_a_table() -> None:
    """As it shows in 80 columns."""
    import pty  # noqa: PLC0415 - not on Windows

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rerank_core", "rank", "--model", "local/bm25", "red", "-"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=theirs, env=environment
    ) as process:
        process.communicate(DOCUMENTS.encode(), timeout=60)
    shown = b""
    while select.select([ours], [], [], 0.2)[0]:
        shown += os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    lines = shown.decode().splitlines()

    assert lines[1].split() == ["rank", "score", "index", "text"]
    assert lines[3].split()[2:] == ["2", "a", "red", "red", "rose"]


class Screen:
    """A pseudo-terminal as standard error, and what it shows."""

    def __init__(self) -> None:
        import pty  # noqa: PLC0415 - not on Windows

        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        self.written = ""

    def lines(self) -> list[str]:
        """The lines with something on them, after all that was written."""
        self._read(0.05)
        rows, at = [""], 0
        written = self.written.replace("\r\n", "\n")
        for control, char in re.findall(r"\x1b\[([?\d;]*[A-Za-z])|(.)", written, re.DOTALL):
            if char == "\n":
                at += 1
                rows += [""] * (at == len(rows))
            elif control == "2K" or char == "\r":  # what follows it is as long as what was there
                rows[at] = ""
            elif control == "1A":
                at -= 1
            else:
                rows[at] += char
        return [row for row in rows if row]

    def run(self, *args: str) -> int:
        """Run a command in this process; its exit code."""
        with contextlib.redirect_stderr(self.stream):
            return int(cli.main(args, "rerank", standalone_mode=False) or 0)

    def wait_for(self, text: str) -> None:
        """Until it is shown."""
        end = time.monotonic() + 30
        while text not in "".join(self.lines()):
            assert time.monotonic() < end, self.written

    def _read(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            self.written += os.read(self._ours, 65536).decode()

    def close(self) -> None:
        """Both ends."""
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A terminal that is able to move its cursor."""
    if sys.platform == "win32":
        pytest.skip("needs a pseudo-terminal")
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    yield screen
    screen.close()


def rank_on(screen: Screen, echo: Echo, tmp_path: Path, *, failure: object = None) -> int:
    """Rank three documents and fail after the first, where there is a failure; the exit code."""
    file = tmp_path / "documents.txt"
    file.write_text(DOCUMENTS, encoding="utf-8")
    score = echo._score  # noqa: SLF001 - ours

    def score_slowly() -> list[int]:
        tell = echo.params["progress"]
        screen.wait_for("documents")
        tell(0, 3)
        print("from the plugin")  # noqa: T201 - it should not, but may
        tell(1, 3)
        screen.wait_for("1/3")
        if isinstance(failure, BaseException):
            raise failure
        tell(3, 3)
        return score()

    echo.facts = evolve(echo.facts, extra_params={"progress": "progress"})
    echo._score = score_slowly  # type: ignore[method-assign] # noqa: SLF001 - ours
    return screen.run("rank", "--model", "echo/m", "red", str(file))


def test_a_terminal_is_shown_how_far_a_long_list_is(
    echo: Echo, screen: Screen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, until it is done; results are the same as ever."""
    code = rank_on(screen, echo, tmp_path)
    said, *results = capsys.readouterr().out.splitlines()

    assert code == 0
    assert screen.lines() == []
    assert screen.written.rindex("\x1b[?25h") > screen.written.rindex("\x1b[?25l")
    assert said == "from the plugin"
    assert [json.loads(line)["index"] for line in results] == [2, 1, 0]


@pytest.mark.parametrize(
    ("failure", "code", "lines"),
    [
        (UnsupportedParamError("not this", param="note"), 3, ["error: echo/m: not this"]),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_a_failure_on_the_way_leaves_no_bar(
    echo: Echo,
    screen: Screen,
    tmp_path: Path,
    failure: BaseException,
    code: int,
    lines: list[str],
) -> None:
    """But what it has to say."""
    assert rank_on(screen, echo, tmp_path, failure=failure) == code
    assert screen.lines() == lines
    assert screen.written.rindex("\x1b[?25h") > screen.written.rindex("\x1b[?25l")


def test_no_bar_where_standard_error_is_no_terminal(echo: Echo) -> None:
    """The provider is not asked how far it is."""
    echo.facts = evolve(echo.facts, extra_params={"progress": "progress"})
    result = rank()

    assert (result.exit_code, result.stderr) == (0, "")
    assert echo.params == {}


def test_no_bar_where_the_provider_cannot_say_how_far_it_is(
    echo: Echo, screen: Screen, tmp_path: Path
) -> None:
    """Nothing is written to the terminal."""
    file = tmp_path / "documents.txt"
    file.write_text(DOCUMENTS, encoding="utf-8")
    code = screen.run("rank", "--model", "echo/m", "red", str(file))

    assert (code, echo.params) == (0, {})
    assert screen.lines() == []
    assert screen.written == ""


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_a_broken_pipe_is_quiet() -> None:
    """`rerank ... | head -1` shows one line and nothing else."""
    command = [sys.executable, "-m", "rerank_core", "rank", "--model", "local/bm25", "red", "-"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(DOCUMENTS.encode() * 100)
        process.stdin.close()

        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes streams otherwise there")
@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        (">&-", "error: standard output is closed\n"),
        ("<&-", "standard input is closed\n"),
        pytest.param(
            ">/dev/full",
            "error: No space left on device\n",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it"),
        ),
    ],
)
def test_streams_that_cannot_be_used_exit_with_2(redirection: str, said: str) -> None:
    """The message says which, and nothing else is shown."""
    command = f'"{sys.executable}" -m rerank_core rank --model local/bm25 red - {redirection}'
    result = subprocess.run(  # noqa: S602 - our own command
        command, shell=True, input=DOCUMENTS, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith(said)
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes streams otherwise there")
def test_results_need_no_standard_error() -> None:
    """There is nothing to say on it."""
    command = f'"{sys.executable}" -m rerank_core rank --model local/bm25 red - 2>&-'
    result = subprocess.run(  # noqa: S602 - our own command
        command, shell=True, input=DOCUMENTS, capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout.count("\n")) == (0, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_exits_with_130_and_no_traceback(service: SimpleNamespace) -> None:
    """While it waits for another attempt."""
    service.status, service.body = 503, "busy"
    command = [
        *(sys.executable, "-m", "rerank_core", "rank", "--model", "infinity/m"),
        *("--api-base", service.url, "--max-retries", "1000", "red", "-"),
    ]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        try:
            assert process.stdin
            process.stdin.write(b"a\n")
            process.stdin.close()
            until = time.monotonic() + 60
            while not service.headers and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.stdin = None
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # no more than a look where it has ended

    assert process.returncode == 130
    assert (output, errors) == (b"", b"")
