#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the public functions of the headers, file by file: the one that has the file's name first. A reader looks a
function up in the file of its name, or of the noun that it belongs to; `-` stands before those of a noun, and before
overloads whose first form stands in the file of their name.

    dev/list_functions.py [folder ...]        folders of include/detrame; all where none is given
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "include" / "detrame"
PRIVATE = {"detail", "device", "has", "formula", "exact", "learn", "conventions"}
PAIRS = {"(": ")", "<": ">", "{": "}"}


def end_of(text, start):
    """Where the bracket that opens at start is closed."""
    opening, closing, depth = text[start], PAIRS[text[start]], 0
    for i in range(start, len(text)):
        if text[i] == opening:
            depth += 1
        elif text[i] == closing and not (closing == ">" and text[i - 1] in "-="):
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def statements(text):
    """The heads of what is declared at the level of a namespace that users may open."""
    at, head = 0, ""
    while at < len(text):
        character = text[at]
        if character == "}":  # of a namespace
            head, at = "", at + 1
        elif character == ";":
            yield head.strip()
            head, at = "", at + 1
        elif character == "{":
            namespace = re.search(r"namespace ([\w:]*(?:inline DETRAME_ABI)?[\w:]*)\s*$", head)
            if namespace and not PRIVATE & set(namespace.group(1).split("::")):
                at += 1
            else:
                if not namespace:
                    yield head.strip()
                at = end_of(text, at)
            head = ""
        elif character == "(":
            end = end_of(text, at)
            head += text[at:end].replace(";", " ")
            at = end
        else:
            head += character
            at += 1


def function_of(head):
    """The name of the function that a head declares, or None."""
    while (template := re.search(r"\btemplate\s*<", head)):
        head = head[:template.start()] + head[end_of(head, template.end() - 1):]
    while (clause := re.search(r"\b(requires|decltype|noexcept|alignas)\s*\(", head)):
        head = head[:clause.start()] + head[end_of(head, clause.end() - 1):]
    head = re.sub(r"\[\[.*?\]\]", "", head)
    if re.match(r"\s*(struct|class|enum|concept|using|friend|static_assert|asm|extern)\b", head):
        return None
    name = re.search(r"([\w:]+)\s*\(", head)
    if not name or "=" in head[:name.start()] or "::" in name.group(1) or name.group(1).isupper():
        return None
    return name.group(1) if re.search(r"[\w>&*]\s+[&*]?$", head[:name.start()]) else None


def main():
    for folder in sys.argv[1:] or sorted(p.name for p in ROOT.iterdir() if p.is_dir()):
        for header in sorted((ROOT / folder).rglob("*.hpp")):
            text = re.sub(r"//[^\n]*", "", header.read_text(encoding="utf-8"))
            text = re.sub(r"\"(\\.|[^\"])*\"|'(\\.|[^'\\])'", '""', text)
            text = re.sub(r"^#(.*\\\n)*.*$", "", text, flags=re.M)
            names = dict.fromkeys(filter(None, map(function_of, statements(text))))
            own = [n for n in names if n == header.stem]
            others = [n for n in names if n != header.stem]
            if names:
                print(f"{header.relative_to(ROOT)}: {', '.join(own + others) if own else '- ' + ', '.join(others)}")


if __name__ == "__main__":
    main()
