"""Ask for known vulnerabilities of what is installed; fail where there are any.

Run `python .ci/audit.py SITE-PACKAGES [options of pip-audit]` in an environment with pip-audit.
Where no service of vulnerabilities can be reached, it says that it did not run, and does not fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(site: str, *options: str) -> int:
    """Audit, and return whether the build fails."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "audit.json")
        # OSV rather than the index: through a mirror that lacks advisories, pip-audit takes
        # everything for unknown and reports success.
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv"]
        command += ["--progress-spinner", "off", "--timeout", "5", "--path", site]
        command += ["--format", "json", "--output", str(answer), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip-audit
        if not answer.exists():
            unreachable = "ConnectionError" in done.stderr or "Timeout" in done.stderr
            print("not run: no service of vulnerabilities" if unreachable else done.stderr)
            return not unreachable
        packages = json.loads(answer.read_text(encoding="utf-8"))["dependencies"]
    found = {each["name"]: each["vulns"] for each in packages if each.get("vulns")}
    for name, vulnerabilities in found.items():
        print(name, *(each["id"] for each in vulnerabilities))
    skipped = [each["name"] for each in packages if "vulns" not in each]
    print(f"audited {len(packages) - len(skipped)} packages")
    if skipped:
        print("not audited:", *skipped)
    return bool(found or not packages)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
