#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tags of equations, such as (M2): each one used in the repository is defined in docs/maths.md, exactly once, and
each one defined there is used by a test. A definition is a line that starts with the tag in bold."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
tag = re.compile(r"\(([A-Z]\d{1,2}(?:(?:, | = |–|-)[A-Z]\d{1,2})*)\)")
single = re.compile(r"[A-Z]\d{1,2}")
maths = root / "docs" / "maths.md"

defined = re.findall(r"^\*\*\(([A-Z]\d{1,2})\)\*\*", maths.read_text(encoding="utf-8"), re.M)
failures = [f"docs/maths.md: ({t}) is defined {defined.count(t)} times" for t in sorted(set(defined)) if defined.count(t) > 1]

sources = [p for folder in ("include", "tests", "examples", "bench", "docs") for p in sorted((root / folder).rglob("*"))
           if p.suffix in {".hpp", ".cpp", ".cu", ".md", ".py", ".cmake"}]
sources += [p for p in (root / "README.md", root / "CHANGELOG.md", root / "CONTRIBUTING.md") if p.exists()]
letters = {t[0] for t in defined}
tested = set()
for path in sources:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for group in tag.findall(line):
            for t in single.findall(group):
                if t not in defined and (t[0] in letters or path != maths):
                    failures.append(f"{path.relative_to(root)}:{number}: ({t}) is not defined in docs/maths.md")
                if path.is_relative_to(root / "tests") and path.suffix in {".cpp", ".hpp", ".cu"}:
                    tested.add(t)
failures += [f"docs/maths.md: no test uses ({t})" for t in defined if t not in tested]

print("\n".join(failures) if failures else f"{len(defined)} tags, each defined once, each used by a test")
sys.exit(1 if failures else 0)
