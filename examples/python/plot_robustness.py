#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws labels that change against the size of what is added to images: plot_robustness.py FILE ... --output PICTURE

A FILE is the noise.csv or attack.csv that detrame-experiment leaves in --out, all of one kind; the summary.json beside it,
or FILE with .json for .csv, says which network it is of. Files of one network are drawn together. A line is the mean over
seeds, a band its deviation; dashed: the random vector of the same size beside a universal perturbation."""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

import pictures


def name_of(path):
    own = path.with_suffix(".json")
    with open(own if own.exists() else path.parent / "summary.json") as f:
        s = json.load(f)
    net = s["net"].replace("detrame-", "DeTraMe-").replace("plainnet", "PlainNet").replace("wideresnet", "WideResNet")
    size = f"-{s['depth']}" + (f"-{s['widen']}" if s["widen"] != 1 else "")
    return net.replace("resnet", "ResNet") + size + (f", T = {s['steps']}" if s["steps"] else "")


def curve(rows, x, y):
    """Sizes, means and deviations of a column, in percent."""
    sizes = sorted({float(row[x]) for row in rows})
    values = [[100 * float(row[y]) for row in rows if float(row[x]) == size] for size in sizes]
    deviations = [statistics.stdev(v) if len(v) > 1 else 0 for v in values]
    return sizes, [statistics.mean(v) for v in values], deviations


def draw(axes, label, colour, style, sizes, means, deviations):
    axes.plot(sizes, means, style, color=colour, marker="o", ms=4, label=label)
    if any(deviations):
        axes.fill_between(sizes, [m - d for m, d in zip(means, deviations)], [m + d for m, d in zip(means, deviations)],
                          color=colour, alpha=.2, lw=0)


def main():
    parser = argparse.ArgumentParser(description="Draws changed labels against the size of noise or of a perturbation.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    networks = {}
    for path in arguments.files:
        with open(path, newline="") as f:
            networks.setdefault(name_of(path), []).extend(csv.DictReader(f))
    kinds = {"rho" in row for rows in networks.values() for row in rows}
    if len(kinds) != 1:
        sys.exit("plot_robustness.py: expected files of one kind, noise.csv or attack.csv")
    pyplot = pictures.pyplot()
    noise = kinds.pop()
    figure, panels = pyplot.subplots(1, 2 if noise else 1, figsize=(10 if noise else 6, 4.2), squeeze=False, sharey=True)
    for number, (name, rows) in enumerate(networks.items()):
        colour = f"C{number}"
        if not noise:
            draw(panels[0][0], name, colour, "-", *curve(rows, "xi", "changed"))
            if all(row["changed_random"] for row in rows):
                draw(panels[0][0], None, colour, "--", *curve(rows, "xi", "changed_random"))
            continue
        for axes, energy in zip(panels[0], ("raw", "centred")):
            mine = [row for row in rows if row["energy"] == energy and row["clipped"] == "0"]
            if mine:
                draw(axes, name, colour, "-", *curve(mine, "rho", "changed"))
    method = {row["method"] for rows in networks.values() for row in rows} if not noise else set()
    titles = ["Universal perturbation; dashed: random, of the same size" if method == {"universal"} else ", ".join(sorted(method))]
    for axes, title in zip(panels[0], ("Gaussian noise, energy of the pixels", "energy of the pixels less their mean") if noise else titles):
        pictures.plain(axes)
        units = {row["units"] for rows in networks.values() for row in rows} if not noise else set()
        axes.set(title=title, xlabel="noise, share of the energy" if noise else
                 "largest change, " + ("pixels of [0, 1]" if units == {"pixels"} else "as the network reads images"))
        if noise:
            axes.set_xscale("log")
            ticks = sorted({float(row["rho"]) for rows in networks.values() for row in rows} - {0.})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
    panels[0][0].set_ylabel("test images with another label, %")
    panels[0][0].set_ylim(bottom=0)
    panels[0][0].legend(frameon=False)
    figure.tight_layout()
    pictures.save(figure, arguments.output)
    print(f"the picture is in {arguments.output}")


if __name__ == "__main__":
    main()
