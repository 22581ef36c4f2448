#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the contracts of the verbs agree word for word in every backend: the `///` comments of backend/cpu/ and
backend/cuda/, function by function. A paragraph that begins with "Here" is a backend's own and is not compared.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "include" / "detrame" / "backend"
NOT_A_NAME = {"requires", "decltype", "explicit", "noexcept", "alignas", "sizeof", "concept"}
MACHINERY = {"arena.hpp", "cholesky.hpp", "pool.hpp"}  # of one backend alone
PRIVATE = re.compile(r"^namespace (detrame::(inline DETRAME_ABI::)?)?(detail|device) \{")


def contracts(folder):
    """{name: its contracts in order} for the functions of a folder that are not in detail:: or device::."""
    found = {}
    for path in sorted(folder.glob("*.hpp")):
        if path.name in MACHINERY:
            continue
        private, comment = False, []
        lines = path.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if PRIVATE.search(line):
                private = True
            elif re.match(r"^\}  // namespace", line):
                private = False
            text = re.match(r"^\s*/// ?(.*)", line)
            if text:
                comment.append(text[1])
                continue
            if comment and not private:
                name = declared(lines[i:i + 8])
                if name:
                    found.setdefault(name, []).append(shared_part(comment))
            comment = []
    return found


def declared(lines):
    """The function that is declared first in the lines, or None where a type or a variable is."""
    text = re.sub(r"//.*|\[\[.*?\]\]", "", "\n".join(lines))
    text = re.sub(r"^\s*template <.*?>\s*\n", "", text, flags=re.S)
    if re.match(r"\s*(struct|class|using|enum|inline constexpr|static constexpr int)\b", text):
        return None
    for name in re.findall(r"(\w+)\(", text.split("{")[0].split(";")[0]):
        if name not in NOT_A_NAME:
            return name
    return None


def shared_part(comment):
    paragraphs = "\n".join(comment).split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if not p.startswith("Here"))


def main():
    cpu, cuda = contracts(ROOT / "cpu"), contracts(ROOT / "cuda")
    verbs = set(re.findall(r"\b([a-z_]+)\(", (ROOT / "concept.hpp").read_text(encoding="utf-8")))
    wrong, compared = [], 0
    for name in sorted(set(cpu) & set(cuda) | verbs & (set(cpu) | set(cuda))):
        here, there = cpu.get(name, []), cuda.get(name, [])
        for a, b in zip(here + [None] * (len(there) - len(here)), there + [None] * (len(here) - len(there))):
            compared += 1
            if a != b:
                wrong.append(f"{name}:\n  cpu/   {a}\n  cuda/  {b}")
    print("\n".join(wrong) if wrong else f"contracts: {compared} of them agree in cpu/ and cuda/")
    if compared < 25:
        print(f"only {compared} contracts were found: this script no longer reads the headers")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
