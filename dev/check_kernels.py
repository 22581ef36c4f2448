#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles .cu units for compute capabilities 7.5, 8.0, 9.0 and as PTX, warnings as errors, and checks what ptxas says of each
kernel: no register is spilled, and no array has to live in memory for want of registers.

    dev/check_kernels.py [UNIT.cu ...]        all tests and examples where none is named; nvcc must be in PATH

It prints, for each kernel, how many instantiations there are, and the most registers and shared memory that one takes.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c++20", "-DNDEBUG", "-Iinclude", "-Itests", "-isystem", "/usr/include/eigen3", "-Werror", "all-warnings",
         "-Xcompiler", "-O0,-Wall,-Wextra", "-Xptxas", "-v", "--threads", "0"]
DEVICES = ["arch=compute_75,code=sm_75", "arch=compute_80,code=sm_80", "arch=compute_90,code=[sm_90,compute_90]"]
REPORT = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<device>\w+)'\n"
    r".*Function properties for (?P=name)\n"
    r"\s+(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*Used (?P<registers>\d+) registers(?P<rest>.*)")


def reports(unit):
    """What ptxas says of the kernels of a unit; ends the program where nvcc fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["nvcc", *FLAGS, *(word for device in DEVICES for word in ("-gencode", device)), "-fatbin", unit, "-o",
                   folder + "/unit.fatbin"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{said}")
    found = [match.groupdict() for match in REPORT.finditer(said)]
    entries = said.count("Compiling entry function")
    if len(found) != entries or entries == 0:
        sys.exit(f"check_kernels.py: {unit}: ptxas speaks of {entries} kernels, {len(found)} reports were understood")
    return found


def demangled(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, text.splitlines(), strict=True))


def main():
    units = sys.argv[1:] or sorted(str(path.relative_to(ROOT)) for folder in ("tests/cuda", "examples")
                                   for path in (ROOT / folder).glob("*.cu"))
    kernels, wrong = defaultdict(list), []
    for unit in units:
        found = reports(unit)
        names = demangled([report["name"] for report in found])
        for report in found:
            name = names[report["name"]]
            kernels[re.sub(r"^void |<.*", "", name)].append(report)
            if any(int(report[what]) for what in ("stack", "stores", "loads")):
                wrong.append(f"{unit}, {report['device']}: {report['stack']} bytes of stack, {report['stores']} of spill stores, "
                             f"{report['loads']} of spill loads in\n  {name}")
    print(f"{'kernel':50} {'compiled':>8} {'registers':>9} {'shared':>7}")
    for name, all_of_it in sorted(kernels.items()):
        shared = max(int((re.search(r"(\d+) bytes smem", report["rest"]) or [0, 0])[1]) for report in all_of_it)
        print(f"{name:50} {len(all_of_it):8} {max(int(report['registers']) for report in all_of_it):9} {shared:7}")
    print("\n".join(wrong) if wrong else "no register is spilled")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
