#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the curves of runs from their epochs.csv: plot_training.py FOLDER... [--output FILE]

Loss on the left, accuracy on the right, dotted for training images. FILE is training.svg in the first folder unless said."""

import argparse
import csv
import sys
from pathlib import Path


def read(folder):
    with open(folder / "epochs.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    return {key: [float(row[key]) for row in rows] for key in (rows[0] if rows else [])}


def main():
    parser = argparse.ArgumentParser(description="Draws the curves of runs of detrame-experiment.")
    parser.add_argument("folders", nargs="+", type=Path, help="what --out was")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        sys.exit("plot_training.py needs matplotlib (Debian: python3-matplotlib)")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (loss, accuracy) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for i, folder in enumerate(arguments.folders):
        curves = read(folder)
        if not curves:
            sys.exit(f"{folder}/epochs.csv has no epoch yet")
        colour, epochs = f"C{i}", curves["epoch"]
        loss.plot(epochs, curves["train_loss"], ":", color=colour)
        loss.plot(epochs, curves["test_loss"], color=colour, label=folder.name)
        accuracy.plot(epochs, [100 * a for a in curves["train_accuracy"]], ":", color=colour)
        accuracy.plot(epochs, [100 * a for a in curves["test_accuracy"]], color=colour, label=folder.name)
    loss.set(xlabel="epoch", ylabel="mean loss (dotted: training images)", yscale="log")
    for axes in (loss, accuracy):
        axes.xaxis.get_major_locator().set_params(integer=True)
    accuracy.set(xlabel="epoch", ylabel="accuracy %")
    accuracy.legend(fontsize=8)
    output = arguments.output or arguments.folders[0] / "training.svg"
    figure.savefig(output)
    print(f"the curves are in {output}")


main()
