"""pyright over the pack, against the findings that were known: `python tests/check_types.py [--update] [--if-there]`.

tests/types_baseline.json counts the known findings of each file. A file with more of them fails, one with fewer asks for
--update, so the count only shrinks. No baseline means clean.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / "tests" / "types_baseline.json"


def findings() -> list[tuple[str, str]]:
    """(file, what pyright says) of every error."""
    command = [sys.executable, "-m", "pyright", "--project", str(ROOT), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if not done.stdout.lstrip().startswith("{"):
        sys.exit(f"pyright did not run: {done.stdout}{done.stderr}")
    found = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    places = [(Path(each["file"]).resolve().relative_to(ROOT).as_posix(), each) for each in found]
    return [(name, f"{name}:{each['range']['start']['line'] + 1}: {each['message']} ({each.get('rule', '')})")
            for name, each in places]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--update", action="store_true", help="write the findings of now as the known ones, if fewer")
    options.add_argument("--if-there", action="store_true", help="say so and pass where pyright cannot be fetched from npm")
    given = options.parse_args()
    if given.if_there and subprocess.run([sys.executable, "-m", "pyright", "--version"], stdin=subprocess.DEVNULL).returncode:
        print("pyright cannot be fetched here: TYPES WERE NOT CHECKED", file=sys.stderr)
        return 0
    known = Counter(json.loads(BASELINE.read_text("utf8"))) if BASELINE.is_file() else Counter()
    found = findings()
    now = Counter(name for name, _ in found)
    worse = {name for name in now if now[name] > known[name]}
    print(*(text for name, text in found if name in worse), sep="\n", end="\n" if worse else "")
    print(f"pyright: {now.total()} findings, {known.total()} known")
    if given.update and not worse:
        BASELINE.write_text(json.dumps(dict(sorted(now.items())), indent=1) + "\n", "utf8")
    elif now.total() < known.total():
        print("Fewer than known: python tests/check_types.py --update")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
