"""What the documentation says is run, and what it points to is there."""

from __future__ import annotations

import html
import inspect
import json
import logging
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from attrs import frozen
from click.testing import CliRunner

import rerank_core
from rerank_core import HTTPRequest, PluginSource, Provider, list_providers
from rerank_core._cli.plugins import cli
from rerank_core._resolve import discovery
from rerank_core._resolve.hooks import ProviderHooks
from rerank_core.testing import Case

ROOT = Path(__file__).parents[2]
_WHERE = ("*.md", "core/*.md", "plugins/*/*.md", "plugin-template/**/*.md", "docs/**/*.md")
PAGES = sorted(page for pattern in _WHERE for page in ROOT.glob(pattern))
TEMPLATE = ROOT / "plugin-template"
RECIPES = ROOT / "docs" / "recipes"  # tests/recipes runs them, where what they need is installed
SAMPLE = ROOT / "docs" / "sample" / "acoustic-fatigue.jsonl"
QUERY = "what data is there on the fatigue of structures under acoustic loading"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]*)\)")
_FILE = re.compile(r"# (rerank_\w+)\.py\n")
_FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|deprecated|removed|fixed|hooks)\.md")


@frozen
class Block:
    """A fenced block: its language, its text, and the line on which the text begins."""

    language: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in _FENCE.finditer(text)
    ]


def name_of(page: Path) -> str:
    """A page's name as people know it."""
    return page.relative_to(ROOT).as_posix()


def pages_with(language: str, start: str = "") -> list[Path]:
    """The pages that have a block of this language with a line that starts so."""
    return [
        page
        for page in PAGES
        if any(
            block.language == language and re.search(rf"^{start}", block.text, re.MULTILINE)
            for block in blocks_of(page)
        )
    ]


def _module(name: str, path: Path) -> ModuleType:
    """A module from its file, under a name that nothing else has."""
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _cases_of(provider: str) -> list[Case]:
    """What the tests of a provider's plugin state about its service; nothing where there are none.

    A reply is written as the plugin's own tests write it, so that a page shows a call as it is.
    """
    name = f"rerank-{provider.replace('_', '-')}"
    folder = TEMPLATE if name == "rerank-example" else ROOT / "plugins" / name
    path = folder / "tests" / f"test_{provider}.py"
    if not path.exists():
        return []
    module = _module(f"case_of_{provider}", path)
    return [value for value in vars(module).values() if isinstance(value, Case)]


def _lists_in(value: Any) -> Iterator[list[Any]]:
    """Every list in a JSON value, however deep."""
    if isinstance(value, list):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from _lists_in(inner)


class Services:
    """Stands in for every service there is: ranks all documents in the order they were sent."""

    def __init__(self) -> None:
        self._cases: dict[str, list[Case]] = {}
        self._providers: dict[httpx.URL, str] = {}

    def note(self, provider: str, url: str) -> None:
        """Keep whose requests go to this URL."""
        self._providers[httpx.URL(url)] = provider
        if provider not in self._cases:
            self._cases[provider] = _cases_of(provider)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Reply to a request for a ranking, or to one that authentication makes."""
        for case in (case for cases in self._cases.values() for case in cases):
            if (reply := case.answer_auth(request)) is not None:
                return reply
        asked = json.loads(request.content)
        documents = max(_lists_in(asked), key=len)
        ranking = [(at, 1 / (at + 2)) for at in range(len(documents))]
        # A service may have several endpoints, each with a case of its own.
        step = request.url.path.rpartition("/")[2]
        cases = self._cases[self._providers[request.url]]
        case = min(cases, key=lambda case: not case.example.url.endswith(f"/{step}"))
        reply = case.encode(ranking, [str(document) for document in documents], None)
        return httpx.Response(200, json=reply)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request leaves this process, and every provider that needs a key has one."""
    service = Services()

    def send(_: object, request: httpx.Request) -> httpx.Response:
        request.read()
        return service.answer(request)

    async def send_async(_: object, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return service.answer(request)

    def build_request(self: ProviderHooks, provider: Provider, *arguments: Any) -> Any:
        built = ask_plugin(self, provider, *arguments)
        if isinstance(built, HTTPRequest):
            service.note(provider.name, built.url)
        return built

    ask_plugin = ProviderHooks.build_request
    monkeypatch.setattr(ProviderHooks, "build_request", build_request)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", send)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", send_async)
    for facts in filter(None, (provider.facts for provider in list_providers())):
        if facts.api_key_required:
            monkeypatch.setenv(facts.api_key_env[0], "a-key")
        if facts.base_url_required:
            monkeypatch.setenv(facts.base_url_env[0], "https://rerank.test")


@pytest.fixture
def loggers() -> Iterator[None]:
    """What a page sets of logging ends with it."""
    known = [logging.getLogger(name) for name in (None, "httpx", "rerank_core")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in known]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def set_what_the_page_exports(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of the page's `export` lines, as whoever follows it does."""
    for block in blocks_of(page):
        for line in block.text.splitlines() if block.language == "sh" else ():
            if line.startswith("export "):
                for word in shlex.split(line)[1:]:
                    monkeypatch.setenv(*word.split("=", 1))


@pytest.mark.usefixtures("services", "loggers")
@pytest.mark.parametrize(
    "page",
    [page for page in pages_with("python") if not page.is_relative_to(RECIPES)],
    ids=name_of,
)
def test_python_runs_and_prints_what_the_page_says(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The blocks of a page run in order, each knowing the ones before it.

    A block that begins with the name of a file stands in that file; a `text` block behind a
    `python` block is what that prints.
    """
    if page.match("plugins/*/README.md"):
        provider = page.parent.name.removeprefix("rerank-").replace("-", "_")
        if not _cases_of(provider):
            pytest.skip(f"the tests of {page.parent.name} state no Case, which writes the replies")
    if page.is_relative_to(TEMPLATE):  # of its shapes, one alone is installed
        module = _module("shown", page.with_name("rerank_example.py"))
        plugin = ProviderHooks(module, "example", lambda: PluginSource("example"))
        monkeypatch.setitem(discovery.plugins, "example", plugin)
    monkeypatch.syspath_prepend(tmp_path)
    set_what_the_page_exports(page, monkeypatch)
    blocks = blocks_of(page)
    names: dict[str, object] = {"__name__": "docs"}
    for block, behind in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language != "python":
            continue
        if file := _FILE.match(block.text):
            (tmp_path / f"{file[1]}.py").write_text(block.text, encoding="utf-8")
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, names)  # noqa: S102 - our own documentation
        printed = capsys.readouterr().out
        close = behind and block.line + block.text.count("\n") + 3 == behind.line
        if behind and behind.language == "text" and close:
            assert printed == behind.text, f"{name_of(page)}:{behind.line}"
    for name in [name for name in sys.modules if (tmp_path / f"{name}.py").exists()]:
        del sys.modules[name]


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("page", pages_with("sh", "rerank "), ids=name_of)
def test_commands_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command line that begins with `rerank` succeeds."""
    lines = [
        line
        for block in blocks_of(page)
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith("rerank ")
    ]
    monkeypatch.chdir(ROOT)
    for line in lines:
        done = CliRunner().invoke(cli, shlex.split(line)[1:])

        assert done.exit_code == 0, (line, done.output)
        assert done.stdout


def test_the_first_command_of_the_readme_ranks_the_sample() -> None:
    """What `uv run` is told to run finds relevant abstracts first."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [
        line
        for block in blocks_of(ROOT / "README.md")
        if block.language == "sh"
        for line in block.text.splitlines()
        if line.startswith("pip install uv && ")
    ]
    words = shlex.split(commands[0])
    done = subprocess.run(  # noqa: S603 - our own documentation
        [sys.executable, "-m", "rerank_core", *words[words.index("rerank") + 1 :]],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found = [json.loads(line)["index"] for line in done.stdout.splitlines()]

    venv = readme.index("\npython3 -m venv .venv && . .venv/bin/activate\n")

    assert readme.index("`externally-managed-environment`") < venv < readme.index(commands[0])
    assert len(commands) == 2
    assert words[words.index("uv", 4) :][:5] == [
        "uv",
        "run",
        "--all-packages",
        "--all-extras",
        "rerank",
    ]
    assert commands[1].endswith("uv run --all-packages --all-extras --group dev pytest -n auto")
    assert QUERY in words
    assert len(found) == 5
    assert {*found[:3]} <= {0, 5, 7, 9, 11, 15, 18}


def test_the_readmes_programs_are_type_checked() -> None:
    """Line by line, but for the plugin, which has no annotations, and imports."""
    checked = (ROOT / "tests" / "core" / "typing_api.py").read_text(encoding="utf-8")
    lines = {line.strip() for line in checked.splitlines()}
    programs = [
        block.text
        for block in blocks_of(ROOT / "README.md")
        if block.language == "python" and not _FILE.match(block.text)
    ]
    written = {line.strip() for program in programs for line in program.splitlines()}

    assert len(programs) >= 4
    assert [
        line for line in sorted(written - lines) if not line.startswith(("from ", "import "))
    ] == []


def test_the_picture_of_the_command_line_is_true() -> None:
    """Every row of it is what the program prints now."""
    picture = html.unescape((ROOT / "docs" / "command-line.svg").read_text(encoding="utf-8"))
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    page = " ".join(" ".join(text.replace("\xa0", " ") for text in shown).split())
    printed = CliRunner().invoke(cli, ["demo", "--format", "table"], env={"COLUMNS": "96"}).stdout
    rows = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]

    assert len(rows) == 7
    assert [row for row in rows if row not in page] == []


def test_the_sample_is_what_its_readme_says() -> None:
    """Twenty objects, each with title and text."""
    documents = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    readme = SAMPLE.with_name("README.md").read_text(encoding="utf-8")

    assert len(documents) == 20
    assert all(list(document) == ["title", "text"] for document in documents)
    assert f"> {QUERY}" in readme
    assert "0, 5, 7, 9, 11, 15 and 18" in readme


@pytest.mark.parametrize("page", pages_with("toml"), ids=name_of)
def test_toml_is_toml(page: Path) -> None:
    """And a plugin's entry point stands where core looks for it."""
    for block in blocks_of(page):
        if block.language == "toml":
            project = tomllib.loads(block.text)["project"]

            assert project["entry-points"]["rerank_core.providers"]


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as repository hosts make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading in it."""
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_names_its_language_and_ends(page: Path) -> None:
    """So that no block escapes the tests above."""
    fences = re.findall(r"^ *```.*$", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(fences) == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= {"python", "sh", "text", "toml"}


def test_python_is_marked_text_only_where_it_cannot_be_run() -> None:
    """It needs what the tests do not install."""
    imports = [
        re.findall(r"^(?:from|import) (\w+)", block.text, re.MULTILINE)
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "text"
    ]

    assert {name for names in imports for name in names} == {
        "httpx_aiohttp",
        "pyreqwest",
        "sentence_transformers",
    }


def test_the_index_names_every_page() -> None:
    """A page that nothing leads to is not read; plugins' own stand in the README."""
    index = ROOT / "docs" / "index.md"
    links = _LINK.findall(index.read_text(encoding="utf-8"))
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links}
    elsewhere = {*ROOT.glob("plugin*/**/README.md"), *ROOT.glob("docs/changelog.d/*.md"), index}

    assert {*PAGES} - linked - elsewhere == set()


def test_every_provider_stands_in_the_readme() -> None:
    """With a link to its package's own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = subprocess.run(  # noqa: S603 - git, of this repository
        ["git", "-C", str(ROOT), "ls-files", "plugins/*/pyproject.toml"],  # noqa: S607 - whichever git
        capture_output=True,
        check=True,
        text=True,
    )
    names = [Path(line).parent.name for line in listed.stdout.splitlines()]

    assert len(names) >= 3
    assert [name for name in names if f"](plugins/{name}/README.md)" not in readme] == []


def test_fragments_have_a_type() -> None:
    """It says under which heading a release puts them."""
    names = [path.name for path in (ROOT / "docs" / "changelog.d").iterdir()]

    assert [name for name in names if name != "README.md" and not _FRAGMENT.fullmatch(name)] == []


@pytest.mark.parametrize("name", rerank_core.__all__)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """One of its own, with public methods that have one as well."""
    value = getattr(rerank_core, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    methods = [
        member
        for member_name, member in vars(value).items()
        if inspect.isclass(value) and inspect.isfunction(member) and member_name[0] != "_"
    ]

    assert value.__doc__
    assert [method for method in methods if not method.__doc__] == []
