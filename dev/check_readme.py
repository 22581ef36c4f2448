#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks README.md by running it, and docs/training.md likewise.

The first ```cpp block is compiled against the headers and run; the ```text block after it is its output, letter for
letter. Its commented line `// code;  // does not compile: sentence` is uncommented: then the compiler must refuse it,
with that sentence if there is one. Each later ```cpp block is compiled and run inside a main that has `cpu`, a Cpu<double>,
and `image`, 1 x 4096. The two commands, of the demo and of the tests, stand on the first screen.

A ```cpp block of docs/training.md is a program, which is compiled and run, where it has a main; else it is lines of
examples/08_training.cpp that follow one another there, but for their indentation.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST_SCREEN = 45
REFUSED = re.compile(r"^(\s*)//\s*(\S.*?)\s*//\s*does not compile(?::\s*(.*?))?\s*$")


class Wrong(Exception):
    """What README.md gets wrong, in a sentence."""


def blocks(text):
    """The fenced blocks, as pairs of language and content."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def check_commands(text):
    top = text.splitlines()[:FIRST_SCREEN]
    for preset in ["demo", "test"]:
        command = [line for line in top if line.startswith("sudo apt-get install") and f"--preset {preset}" in line]
        if len(command) != 1:
            raise Wrong(f"in the first {FIRST_SCREEN} lines, {len(command)} lines 'sudo apt-get install ... "
                        f"--preset {preset}', must be 1")


def compile_program(compiler, source, output, *flags):
    """The finished compilation of the text `source`."""
    unit = output.with_suffix(".cpp")
    unit.write_text(source, encoding="utf-8")
    eigen = subprocess.run(["pkg-config", "--cflags-only-I", "eigen3"], capture_output=True, text=True, check=False)
    system = eigen.stdout.replace("-I", "-isystem ").split() or ["-isystem", "/usr/include/eigen3"]
    command = [compiler, "-std=c++20", *flags, f"-I{ROOT / 'include'}", *system, "-pthread", str(unit),
               "-o", str(output)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check_program(text, compiler, folder):
    found = blocks(text)
    at = next((i for i, (language, _) in enumerate(found) if language == "cpp"), None)
    if at is None:
        raise Wrong("no ```cpp block")
    if at + 1 == len(found) or found[at + 1][0] != "text":
        raise Wrong("no ```text block, with the program's output, after the first ```cpp block")
    program, promised = found[at][1], found[at + 1][1]

    built = compile_program(compiler, program, folder / "readme", "-O2", "-Wall", "-Wextra", "-Werror")
    if built.returncode:
        raise Wrong(f"the program does not compile:\n{built.stderr}")
    ran = subprocess.run([str(folder / "readme")], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Wrong(f"the program exits with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    if ran.stdout != promised:
        lines = difflib.unified_diff(promised.splitlines(), ran.stdout.splitlines(), "README.md", "printed",
                                     lineterm="")
        raise Wrong("the program prints something else:\n" + "\n".join(lines))

    lines = program.splitlines()
    refused = [(i, REFUSED.match(line)) for i, line in enumerate(lines) if REFUSED.match(line)]
    if len(refused) != 1:
        raise Wrong(f"{len(refused)} lines '// code;  // does not compile' in the program, must be 1")
    i, match = refused[0]
    lines[i] = match[1] + match[2]
    built = compile_program(compiler, "\n".join(lines) + "\n", folder / "refused", "-fsyntax-only")
    if built.returncode == 0:
        raise Wrong(f"this line compiles: {match[2]}")
    if match[3] and match[3] not in built.stderr:
        raise Wrong(f"the refusal of the line {match[2]} lacks the sentence '{match[3]}':\n{built.stderr}")


INSIDE = """#include <detrame/detrame.hpp>
using namespace detrame;
int main() {{
  Cpu<double> cpu;
  [[maybe_unused]] Eigen::MatrixXd const image = Eigen::MatrixXd::Random(1, 4096);
{}}}
"""


def run_source(source, compiler, folder):
    built = compile_program(compiler, source, folder / "excerpt", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable")
    if built.returncode:
        raise Wrong(f"this does not compile:\n{source}{built.stderr}")
    ran = subprocess.run([str(folder / "excerpt")], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Wrong(f"this exits with {ran.returncode}:\n{source}{ran.stderr}")


def check_excerpts(text, compiler, folder):
    for excerpt in [content for language, content in blocks(text) if language == "cpp"][1:]:
        run_source(INSIDE.format(excerpt), compiler, folder)


def check_page(text, example, compiler, folder):
    lines = [line.strip() for line in example.read_text(encoding="utf-8").splitlines()]
    for block in [content for language, content in blocks(text) if language == "cpp"]:
        if "int main(" in block:
            run_source(block, compiler, folder)
            continue
        quoted = [line.strip() for line in block.splitlines()]
        if not any(lines[i:i + len(quoted)] == quoted for i in range(len(lines))):
            raise Wrong(f"these are no lines of {example.relative_to(ROOT)}:\n{block}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    arguments = parser.parse_args()
    page = arguments.readme
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = page.read_text(encoding="utf-8")
            check_commands(text)
            check_program(text, arguments.compiler, Path(folder))
            check_excerpts(text, arguments.compiler, Path(folder))
            page = ROOT / "docs/training.md"
            check_page(page.read_text(encoding="utf-8"), ROOT / "examples/08_training.cpp", arguments.compiler, Path(folder))
    except Wrong as wrong:
        print(f"{page.name}: {wrong}")
        return 1
    print("README.md: the commands stand at the top; the program prints what is promised, and refuses what is promised\n"
          "training.md: its program runs, its excerpts are lines of the example")
    return 0


if __name__ == "__main__":
    sys.exit(main())
