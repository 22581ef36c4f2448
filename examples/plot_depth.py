#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws depth.csv and training.csv, as the demo writes them, to depth.svg: plot_depth.py FOLDER"""

import csv
import os
import sys

NAMES = {
    "jacobi": "eq. (20)+(24)",
    "gershgorin": "Gershgorin",
    "forward_backward": "forward-backward",
    "fista": "FISTA",
    "gauss_seidel": "Gauss-Seidel",
}


COLOURS = {key: f"C{i}" for i, key in enumerate(NAMES)}  # the same in every panel


def read(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def draw_depth(axes, rows):
    for key, name in NAMES.items():
        mine = [r for r in rows if r["recursion"] == key]
        T = [int(r["T"]) for r in mine]
        axes.plot(T, [float(r["distance"]) for r in mine], "o-", ms=3, color=COLOURS[key], label=name)
        bound = [(int(r["T"]), float(r["bound"])) for r in mine if r["bound"]]
        if bound:
            axes.plot(*zip(*bound), ":", color=COLOURS[key], lw=1)
    axes.set(xscale="log", yscale="log", xlabel="updates T", ylim=(1e-9, 1e3),
             ylabel="largest |U_T - U*| / |U*|", title="Distance to the exact prox (dotted: a-priori bound)")
    axes.legend(fontsize=8)


def draw_time(axes, rows):
    for key, name in NAMES.items():
        mine = [r for r in rows if r["recursion"] == key and key != "jacobi"]
        if mine:
            axes.plot([float(r["microseconds_per_sample"]) for r in mine], [float(r["distance"]) for r in mine],
                      "o-", ms=3, color=COLOURS[key], label=name)
    axes.set(xscale="log", yscale="log", xlabel="microseconds a sample", ylim=(1e-9, 1e3),
             title="The same against time")
    axes.legend(fontsize=8)


def draw_accuracy(axes, rows):
    def of(name, T, column):
        values = [100 * float(r[column]) for r in rows if r["network"] == name and int(r["T"]) == T]
        mean = sum(values) / len(values)
        return mean, (sum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5

    depths = sorted({int(r["T"]) for r in rows if r["network"] == "DeTraMe"})
    for column, mark in (("test", "o-"), ("validation", "s--")):
        points = [of("DeTraMe", T, column) for T in depths]
        axes.errorbar(depths, [p[0] for p in points], [p[1] for p in points], fmt=mark, capsize=3, ms=4,
                      label=f"DeTraMe, {column}")
    for name, style in (("plain ReLU", "-."), ("DDL exact", ":")):
        axes.axhline(of(name, 0, "test")[0], ls=style, color="grey", label=f"{name}, test")
    axes.set_ylim(top=100)
    axes.set(xlabel="updates T", ylabel="accuracy, %", title="Trained networks, mean ± deviation over seeds")
    axes.legend(fontsize=8)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot_depth.py FOLDER")
    try:
        import matplotlib
    except ImportError:
        print("No picture: matplotlib is missing (Debian: python3-matplotlib).")
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    folder = sys.argv[1]
    depth = read(os.path.join(folder, "depth.csv"))
    training = read(os.path.join(folder, "training.csv"))
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    draw_depth(axes[0], depth)
    draw_time(axes[1], depth)
    draw_accuracy(axes[2], training)
    target = os.path.join(folder, "depth.svg")
    figure.savefig(target + ".part", format="svg")
    os.replace(target + ".part", target)
    print(f"Picture: {target}")


if __name__ == "__main__":
    main()
