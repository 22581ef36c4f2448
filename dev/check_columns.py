#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Refuses lines of more than 110 columns in C++ and CUDA sources: clang-format leaves comments alone."""
import subprocess
import sys
from pathlib import Path

COLUMNS = 110

root = Path(__file__).resolve().parent.parent
listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
                         "*.hpp", "*.cpp", "*.cu"], cwd=root, capture_output=True, text=True, check=True).stdout
files = [root / name for name in listed.split("\0") if name and (root / name).is_file()]
long = [f"{path.relative_to(root)}:{n}: {len(line)} columns"
        for path in files
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > COLUMNS]
if long:
    sys.exit("\n".join(long) + f"\n{len(long)} lines have more than {COLUMNS} columns")
print(f"{len(files)} files have at most {COLUMNS} columns")
