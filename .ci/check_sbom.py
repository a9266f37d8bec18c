"""The SBOM of a release names core, every plugin, and all that they need.

Run `python .ci/check_sbom.py FOLDER` where the SBOM and the wheels are.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

# Their licence stands in a file of theirs, and not in their metadata: BSD-3-Clause, Apache-2.0.
SILENT = {"protobuf", "volcengine"}


def normalize(name: str) -> str:
    """A distribution's name as all spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs_of(wheel: Path) -> tuple[str, str, set[str]]:
    """A wheel's name, version, and what it needs without extras, on Linux as elsewhere."""
    module, version, *_ = wheel.stem.split("-")
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{module}-{version}.dist-info/METADATA").decode()
    lines = HeaderParser().parsestr(text).get_all("Requires-Dist", [])
    needs = {re.match(r"[\w.-]+", line)[0] for line in lines if "extra ==" not in line}  # type: ignore[index] # never without a name
    return normalize(module), version, {normalize(name) for name in needs}


def wrong_in(sbom: dict[str, Any], wheels: list[Path]) -> list[str]:
    """Say what the SBOM lacks that the wheels have."""
    components = [sbom["metadata"]["component"], *sbom["components"]]
    named = {normalize(each["name"]): each for each in components}
    by_ref = {each["bom-ref"]: name for name, each in named.items()}
    edges = {
        by_ref[each["ref"]]: {by_ref[ref] for ref in each.get("dependsOn", [])}
        for each in sbom["dependencies"]
    }
    wrong = [
        f"{name} has no licence"
        for name, each in named.items()
        if not each.get("licenses") and name not in SILENT
    ]
    wrong += [f"{name} has no version" for name, each in named.items() if not each.get("version")]
    if components[0]["name"] != "rerank-core":
        wrong.append(f"it is about {components[0]['name']}")
    for name, version, needs in map(needs_of, wheels):
        if named.get(name, {}).get("version") != version:
            wrong.append(f"{name} {version} is not named")
        elif "Apache-2.0" not in str(named[name]["licenses"]):
            wrong.append(f"{name} has another licence")
        if missing := needs - edges.get(name, set()):
            wrong.append(f"{name} needs {', '.join(sorted(missing))} too")
    return wrong


def main(folder: Path) -> int:
    """Compare the folder's SBOM with its wheels; return how much is wrong."""
    [path] = folder.glob("*.cdx.json")
    sbom = json.loads(path.read_text(encoding="utf-8"))
    wheels = [*folder.glob("*.whl")]
    wrong = wrong_in(sbom, wheels)
    if not wheels:
        wrong.append("no wheels")
    print("\n".join(wrong) or f"{path.name}: {len(sbom['components']) + 1} components")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) > 0)
