#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what examples/07_gradients.cpp prints: plot_gradients.py FILE.csv --output FILE.svg

Above, the gradient of each layer's weights in networks of 12 layers; below, how much of the gradient is left on the way
from the last layer to the first, against depth. Lines are geometric means over seeds, bands reach from the smallest to the
largest."""

import argparse
import collections
import csv
import math
from pathlib import Path

import pictures

NETWORKS = {"exact dictionaries": "Dictionaries, solved exactly", "ReLU": "ReLU network",
            "DeTraMe": "DeTraMe-Net, T = 3"}
STARTS = {"default": "default start", "he": "He's start", "algorithm2": "Algorithm 2's start",
          "alpha 0.05": r"$\alpha = 0.05,\ \lambda = 0.002$",
          "alpha 0.01": r"$\alpha = 0.01,\ \lambda = 0.0004$"}
DEFAULT_DICTIONARY = r"$\alpha = 0.5,\ \lambda = 0.02$ (default)"


def band(axes, points, label, colour):
    """points: {x: values over seeds}. Where a value is 0 there is no logarithm: the line ends."""
    xs = sorted(x for x, values in points.items() if min(values) > 0)
    mean = [math.exp(sum(map(math.log, points[x])) / len(points[x])) for x in xs]
    axes.plot(xs, mean, "o-", ms=3, color=colour, label=label)
    axes.fill_between(xs, [min(points[x]) for x in xs], [max(points[x]) for x in xs], color=colour, alpha=.18, lw=0)
    return len(xs) == len(points)


def main():
    parser = argparse.ArgumentParser(description="Draws gradients by layer.")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    pyplot = pictures.pyplot()

    with open(arguments.csv, newline="") as f:
        rows = list(csv.DictReader(f))
    deepest = max(int(row["depth"]) for row in rows)
    weights = collections.defaultdict(lambda: collections.defaultdict(list))   # (network, start) -> layer -> values
    inputs = collections.defaultdict(dict)                                     # (network, start, depth, seed) -> layer
    for row in rows:
        key = row["network"], row["start"]
        if int(row["depth"]) == deepest:
            weights[key][int(row["layer"])].append(float(row["weight_gradient"]))
        inputs[(*key, int(row["depth"]), row["seed"])][int(row["layer"])] = float(row["input_gradient"])
    kept = collections.defaultdict(lambda: collections.defaultdict(list))      # (network, start) -> depth -> values
    for (network, start, depth, _), of_layer in inputs.items():
        last = of_layer[depth]
        kept[network, start][depth].append(of_layer[1] / last if last > 0 else 0)

    starts = list(STARTS)
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6.4), sharex="row", sharey="row", constrained_layout=True)
    for column, (network, title) in enumerate(NETWORKS.items()):
        above, below = axes[0][column], axes[1][column]
        for key in (key for key in weights if key[0] == network):
            label = STARTS[key[1]]
            if network == "exact dictionaries" and key[1] == "default":
                label = DEFAULT_DICTIONARY
            colour = f"C{starts.index(key[1])}"
            if not band(above, weights[key], label, colour):
                above.plot([], [], " ", label="   gradient 0 where no line is drawn")
            band(below, kept[key], label, colour)
        above.set(title=title, xlabel=f"layer, of {deepest}", yscale="log")
        below.set(xlabel="number of layers", yscale="log")
        above.legend(fontsize=8)
        for each in (above, below):
            pictures.plain(each)
        above.set_xticks(range(2, deepest + 1, 2))
        below.set_xticks(range(2, deepest + 1, 2))
    axes[0][0].set_ylabel("norm of the weights' gradient")
    axes[1][0].set_ylabel("norm of the gradient at the input,\nshare of that at the last layer's input")
    figure.suptitle("Gradients by layer before training (digits, 64 channels, 100 images)")
    pictures.save(figure, arguments.output)
    print(f"the picture is in {arguments.output}")


if __name__ == "__main__":
    main()
