#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each file that can carry a comment names its licence, on one line: SPDX-License-Identifier."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(r"^\W*SPDX-License-Identifier: Apache-2\.0\b", re.M)

# Formats without comments, texts with a licence of their own, and pictures.
EXEMPT = re.compile(r"(^|/)LICENSE$|\.(json|csv|svg|png|ttf|safetensors)$|-ubyte$|^tests/golden/.*\.txt$")


def main():
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wrong, checked = [], 0
    for name in sorted(filter(None, listing.split("\0"))):
        path = ROOT / name
        if EXEMPT.search(name) or not path.is_file():
            continue
        checked += 1
        count = len(LINE.findall(path.read_text(encoding="utf-8")))
        if count != 1:
            wrong.append(f"{name}: {count} lines 'SPDX-License-Identifier: Apache-2.0', must be 1")
    print("\n".join(wrong) if wrong else f"spdx: {checked} files name their licence")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
