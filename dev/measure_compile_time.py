#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles a training step of the twin of ResNet-8 and one of ResNet-110, in float with -O2, and prints what each
costs the compiler. Succeeds where the deep one takes at most 1.5 times as long: `Repeat` instantiates a block once.

    dev/measure_compile_time.py [compiler] [option ...]        g++ -isystem /usr/include/eigen3 where nothing is given
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHALLOW, DEEP, MOST = 8, 110, 1.5

UNIT = """
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "detrame/train/algorithm2.hpp"

using namespace detrame;
using Net = Bind<ResNet<DeTraMe<3>, DEPTH>, Shape{3, 32, 32}, Cpu<float>>;

float step(Cpu<float>& cpu, Net::Parameters& theta, TrainingState<Net>& state, Cpu<float>::ConstView x,
           Cpu<float>::ConstView targets) {
  return train_step(cpu, Net(), SoftmaxCrossEntropy(), Sgd(), .1, theta, state, x, targets, Draw()).loss;
}
"""


def compile_once(command, folder, depth):
    """Seconds of processor time and the largest memory in MB of one compilation."""
    source = Path(folder) / f"res_net_{depth}.cpp"
    source.write_text(UNIT.replace("DEPTH", str(depth)), encoding="utf-8")
    arguments = command + ["-c", str(source), "-o", str(source.with_suffix(".o"))]
    _, status, usage = os.wait4(os.posix_spawnp(arguments[0], arguments, os.environ), 0)
    if status != 0:
        sys.exit(f"ResNet-{depth} does not compile: {' '.join(arguments)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    compiler = sys.argv[1:] or ["g++", "-isystem", "/usr/include/eigen3"]
    command = compiler + ["-std=c++20", "-O2", f"-I{ROOT / 'include'}"]
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for depth in (SHALLOW, DEEP):
            seconds[depth], memory = compile_once(command, folder, depth)
            print(f"ResNet-{depth}: {seconds[depth]:.1f} s of processor time, {memory:.0f} MB", flush=True)
    ratio = seconds[DEEP] / seconds[SHALLOW]
    print(f"ratio {ratio:.2f}, must be <= {MOST}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
