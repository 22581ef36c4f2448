#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the contract of a verb stands once: at its clause in backend/concept.hpp or backend/matrix.hpp, where every
verb has one. In backend/cpu/ and backend/cuda/ a verb's `///` comment begins with "Here" and says what is particular.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "include" / "detrame" / "backend"
MEMBERS = {"rows", "cols", "middle_cols", "middle_rows", "reshaped", "contiguous", "overlaps"}  # of core/matrix_view.hpp
MACHINERY = {"arena.hpp", "cholesky.hpp", "pool.hpp"}  # of one backend alone
PRIVATE = re.compile(r"^namespace .*\b(detail|device) \{")
CLAUSE = re.compile(r"^\s+(?:\{ )?(?:\w+\.)?(?!requires\b)([a-z_]+)\(")
FUNCTION = re.compile(r"\b(?!requires|decltype|noexcept|explicit|sizeof)(\w+)\(")
TYPE = re.compile(r"\s*(template <.*>\s*)?(struct|class|using|enum|inline constexpr)\b")


def clauses():
    """{verb: whether a contract stands before the first requirement that calls it}"""
    found = {}
    for name in ("matrix.hpp", "concept.hpp"):
        contract, begins = False, False  # a comment just ended; a statement begins
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith("///"):
                contract = begins = True
                continue
            verb = CLAUSE.match(line)
            if verb and begins and verb[1] not in MEMBERS:
                found.setdefault(verb[1], contract)
            contract, begins = False, line.endswith((";", "{"))
    return found


def comments():
    """(place, function, comment) of what is commented in a backend outside of detail:: and device::"""
    for path in sorted(p for folder in ("cpu", "cuda") for p in (ROOT / folder).glob("*.hpp")):
        private, comment = path.name in MACHINERY, []
        lines = path.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            private = path.name in MACHINERY or bool(PRIVATE.search(line)) or (private and not line.startswith("}  // n"))
            if line.lstrip().startswith("///"):
                comment.append(line.lstrip()[4:])
                continue
            declaration = " ".join(lines[i:i + 4]).split("{")[0].split(";")[0]
            function = None if TYPE.match(declaration) else FUNCTION.search(declaration)
            if comment and function and not private:
                yield f"{path.relative_to(ROOT)}:{i + 1}", function[1], " ".join(comment)
            comment = []


def main():
    verbs = clauses()
    wrong = [f"{verb} has no contract at its clause" for verb, contract in verbs.items() if not contract]
    wrong += [f'{place}: the comment of {name} does not begin with "Here": its contract stands at its clause'
              for place, name, text in comments() if name in verbs and not text.startswith("Here")]
    if len(verbs) < 35:
        wrong.append(f"only {len(verbs)} clauses were found: this script no longer reads the concept")
    print("\n".join(wrong) if wrong else f"contracts: {len(verbs)} verbs have one, each at its clause alone")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
