#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws Figure 2 of the paper, accuracy against the number of parameters: plot_figure2.py FIGURE2.csv --output FILE

FIGURE2.csv is what dev/results_tables.py writes: the paper's figures, hollow, and ours, full, where a whole schedule was
run. The number of parameters has a scale of logarithms. A grey line leads from a network to its twin with Q-metric ReLUs."""

import argparse
import csv
from pathlib import Path

import pictures

DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN"}
FAMILIES = {"PlainNet": ("o", "C0"), "ResNet": ("s", "C1"), "WideResNet": ("^", "C2")}


def main():
    parser = argparse.ArgumentParser(description="Draws accuracy against parameters.")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    pyplot = pictures.pyplot()
    from matplotlib.lines import Line2D

    with open(arguments.csv, newline="") as f:
        rows = list(csv.DictReader(f))
    figure, panels = pyplot.subplots(1, len(DATA), figsize=(12, 4.8))
    for axes, (data, title) in zip(panels, DATA.items()):
        mine = [row for row in rows if row["data"] == data and row["parameters"]]
        plain = [row for row in mine if row["twin"] == "0"]
        twins = {row["network"]: row for row in mine if row["twin"] == "1"}
        # PlainNet-3 is far below all others, which would be one line beside it: it is named at the lower edge
        shown = [row for row in mine if not (row["network"].startswith("PlainNet 3") and row["twin"] == "0")]
        low = min(float(row["paper"]) for row in shown)
        high = max(float(row["paper"]) for row in shown)
        low, high = low - .09 * (high - low), high + .05 * (high - low)
        for row in plain:
            twin = twins[row["network"]]
            below = float(row["paper"]) < low
            axes.plot([float(r["parameters"]) / 1e6 for r in (row, twin)], [max(float(row["paper"]), low), float(twin["paper"])],
                      "-", color="0.75", lw=.8, zorder=1)
            if below:
                axes.annotate(f"PlainNet 3: {float(row['paper']):.1f}", (float(row["parameters"]) / 1e6, low), (9, 4),
                              textcoords="offset points", fontsize=8, color="C0")
        for row in mine:
            mark, colour = FAMILIES[row["network"].split(" ")[0]]
            size = 8 if row["twin"] == "1" else 5
            x, y = float(row["parameters"]) / 1e6, max(float(row["paper"]), low)
            axes.errorbar(x, y, float(row["paper_deviation"] or 0) if y > low else 0, fmt=mark, color=colour, mfc="white",
                          ms=size, lw=.8, capsize=2, clip_on=False, zorder=2)
            if row["ours"]:
                axes.errorbar(x, float(row["ours"]), float(row["ours_deviation"] or 0), fmt=mark, color=colour, ms=size, lw=.8,
                              capsize=2, zorder=3)
                axes.annotate(row["network"].replace("-layer", "") + (", DeTraMe" if row["twin"] == "1" else ""),
                              (x, float(row["ours"])), (7, -9), textcoords="offset points", fontsize=8, color=colour)
        axes.set(title=title, xlabel="parameters, millions", ylim=(low, high), xscale="log")
        axes.set_xticks([.1, .3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        axes.set_xticks([], minor=True)
        pictures.plain(axes)
    panels[0].set_ylabel("test images classified rightly, %")
    entries = [Line2D([], [], ls="", marker=mark, color=colour, mfc="white", label=family)
               for family, (mark, colour) in FAMILIES.items()]
    entries += [Line2D([], [], ls="", marker="o", ms=5, color="0.3", mfc="white", label="plain network"),
                Line2D([], [], ls="", marker="o", ms=8, color="0.3", mfc="white", label="its DeTraMe twin"),
                Line2D([], [], ls="", marker="o", color="0.3", mfc="white", label="hollow: the paper"),
                Line2D([], [], ls="", marker="o", color="0.3", label="full: ours")]
    figure.suptitle("Accuracy against the number of parameters")
    figure.legend(handles=entries, ncol=len(entries), loc="lower center", fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, .06, 1, 1))
    pictures.save(figure, arguments.output)
    print(f"the picture is in {arguments.output}")


if __name__ == "__main__":
    main()
