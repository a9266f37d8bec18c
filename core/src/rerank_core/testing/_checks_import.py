"""The check of what importing a plugin does, in a process of its own."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from types import ModuleType

from rerank_core.testing._case import Case
from rerank_core.testing._failure import require

# Imports one module and reports what that did: printed by the child as one line of JSON.
_IMPORT = """
import json, os, sys, threading
from rerank_core import Reranker, hookimpl
EVENTS = {
    "socket.__new__": "a socket", "socket.getaddrinfo": "a look-up of a host",
    "subprocess.Popen": "a process", "os.system": "a process", "os.fork": "a process",
    "os.exec": "a process", "os.posix_spawn": "a process", "os.mkdir": "a new folder",
    "os.remove": "a file removed",
    "os.rename": "a file renamed", "os.chdir": "a change of the working directory",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def state():
    logging = sys.modules.get("logging")
    return {
        "a change of os.environ": dict(os.environ), "a change of sys.path": list(sys.path),
        "a change of the root logger": logging.root.handlers[:] if logging else [],
    }
done, modules, before = [], set(sys.modules), state()
def audit(event, arguments):
    if event in EVENTS:
        done.append(EVENTS[event])
    elif event == "open":
        path, mode, flags = arguments
        if set(mode) & set("wax+") if isinstance(mode, str) else flags & WRITES:
            done.append(f"a file open for writing: {path}")
sys.addaudithook(audit)
start = threading.Thread.start
threading.Thread.start = lambda thread: done.append("a thread") or start(thread)
__import__(sys.argv[1])
done += [what for what, now in state().items() if now != before[what]]
roots = {name.split(".")[0] for name in set(sys.modules) - modules}
print("\\n" + json.dumps([sorted(set(done)), sorted(roots)]))
"""


@functools.cache
def _import_apart(plugin: ModuleType) -> subprocess.CompletedProcess[str]:
    """What importing a plugin does; several cases of one plugin have one import."""
    command = [sys.executable, "-B", "-c", _IMPORT, plugin.__name__]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter, on the plugin's name


def check_import_is_light(case: Case) -> None:
    """Importing the plugin prints nothing, does nothing, and brings in no other package."""
    if not isinstance(case.plugin, ModuleType):
        return
    name = case.plugin.__name__
    ran = _import_apart(case.plugin)
    where = f"the top of {name}"
    require(
        ran.returncode == 0, f"import failed:\n{ran.stderr}", why="nobody can use it", where=where
    )
    said, _, report = ran.stdout.rstrip("\n").rpartition("\n")
    require(
        report.startswith("[["),
        "import ends the process",
        why="it takes whoever uses the plugin along",
        where=where,
    )
    require(
        not said.strip() and not ran.stderr.strip(),
        f"import prints: {(said + ran.stderr).strip()[:200]!r}",
        why="it lands in the middle of the output of whoever uses the plugin",
        where=where,
    )
    done, modules = json.loads(report)
    require(
        not done,
        f"import has side effects: {', '.join(done)}",
        why="a plugin is imported when it is named, also by a listing that sends nothing",
        where=where,
    )
    ours = {*sys.stdlib_module_names, "rerank_core", name.split(".")[0]}
    heavy = sorted(module for module in modules if module not in ours)
    require(
        not heavy,
        f"import brings in {', '.join(heavy)}",
        why="every start pays for it, also where the provider is never called",
        where=f"{where}: import inside the function that needs it",
    )
