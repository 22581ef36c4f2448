#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""detrame-experiment inspect on models whose Q-metric ReLUs are made by hand: inspect_test.py PROGRAM DIGITS"""

import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, DIGITS = Path(sys.argv[1]), Path(sys.argv[2])
LAYERS, IMAGES, READ = ("2", "4", "6"), 120, 32  # what `inspect` looks at of the images


def run(*arguments):
    result = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=600)
    return result.returncode, result.stdout


class Model:
    """A model.safetensors whose entries of F32 can be set."""

    def __init__(self, path):
        raw = Path(path).read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        self.header, self.body = json.loads(raw[8:8 + length]), bytearray(raw[8 + length:])

    def fill(self, name, value):
        begin, end = self.header[name]["data_offsets"]
        self.body[begin:end] = struct.pack("<f", value) * ((end - begin) // 4)

    def set(self, name, row, column, value):
        t = self.header[name]
        begin = t["data_offsets"][0] + 4 * (row * t["shape"][1] + column)
        self.body[begin:begin + 4] = struct.pack("<f", value)

    def layer(self, place, entries, h, b):
        """W~ with these entries {(out, in, tap): value} alone, of 3 x 3 taps."""
        self.fill(f"{place}.W_tilde", 0)
        self.fill(f"{place}.h", h)
        self.fill(f"{place}.b", b)
        channels = self.header[f"{place}.h"]["shape"][0]
        for (to, of, tap), value in entries.items():
            self.set(f"{place}.W_tilde", to, tap * channels + of, value)

    def write(self, path):
        text = json.dumps(self.header).encode()
        Path(path).write_bytes(struct.pack("<Q", len(text)) + text + self.body)
        return path


def inspect(path):
    status, text = run("inspect", "--checkpoint", path, "--data", DIGITS, "--limit", IMAGES, "--threads", 1)
    assert status == 0, text
    parts = re.split(r"^  (\d+)   W~ .*$", text.split("  accuracy with tied")[0], flags=re.M)[1:]
    layers = dict(zip(parts[::2], parts[1::2]))
    assert tuple(layers) == LAYERS, text
    accuracy = dict(re.findall(r"^    (as trained|\d+|all of them) +([\d.]+) %   loss", text, re.M))
    assert tuple(accuracy) == ("as trained", *LAYERS, "all of them"), text
    return text, layers, accuracy


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        train = ["train", "--depth", "3", "--dataset", "digits", "--data", DIGITS, "--limit", 200, "--epochs", 1, "--lr", 0.05]
        assert run(*train, "--net", "detrame-plainnet", "--steps", 2, "--out", work / "twin")[0] == 0
        assert run(*train, "--net", "plainnet", "--out", work / "plain")[0] == 0
        trained = work / "twin" / "model.safetensors"

        # As it was trained: free parameters, and each T that is compiled in.
        text, layers, accuracy = inspect(trained)
        for place, layer in layers.items():
            assert "a prox         not a prox: W_tilde is not symmetrisable" in layer, text
            low, high = map(float, re.search(r"at least ([\d.]+), at most ([\d.]+) \|W~\| away", layer).groups())
            assert 0.1 < low <= high < 2, text
        steps = re.findall(r"^ +(\d+) +[\d.]+ +[\d.]+ +[\d.]+ +\d+", text.split("with other T")[1], re.M)
        assert steps == ["1", "2", "3", "5"], text

        # Tied by hand: Q = diag(h) - W~ is symmetric as a kernel and dominant.
        tied = Model(trained)
        for place in LAYERS:
            tied.layer(place, {(0, 1, 4): .2, (1, 0, 4): .2, (0, 2, 3): .1, (2, 0, 5): .1}, .9, .05)
        text, layers, accuracy = inspect(tied.write(work / "tied.safetensors"))
        for layer in layers.values():
            assert "a prox         yes" in layer, text
            assert "nearest tied   0.0000 |W~| away" in layer, text
            assert f"fixed points   {READ} samples from 4 starts: 1 in {READ}\n" in layer, text
            assert "cycle" not in layer, text
        assert len(set(accuracy.values())) == 1, text

        # z = 1 in the first layer, whose W~ is an example of docs/maths.md (F1).
        for sign in (1, -1):
            free = Model(trained)
            free.fill("1.W", 0)
            free.fill("1.c", -1)
            free.layer("2", {(0, 1, 4): 2 * sign, (1, 0, 4): 2 * sign}, .5, .1)
            text, layers, accuracy = inspect(free.write(work / "free.safetensors"))
            assert "a prox         not a prox: Q is not shown" in layers["2"], text
            cycle, diverge, unsettled = map(int, re.search(
                rf"of {4 * READ} runs (\d+) cycle, (\d+) diverge, (\d+) are not settled", layers["2"]).groups())
            if sign > 0:  # 0 is reached from 0 and from 1; beyond 1.6 it grows
                assert cycle == 0 and diverge == 2 * READ and f": 1 in {READ}\n" in layers["2"], text
            else:  # from 0, 1 and 2 it cycles between 2.4 and 0
                assert cycle >= 3 * READ and diverge == 0, text

        status, text = run("inspect", "--checkpoint", work / "plain" / "model.safetensors", "--data", DIGITS)
        assert status == 1 and "plainnet has no Q-metric ReLU to look at" in text, text


main()
