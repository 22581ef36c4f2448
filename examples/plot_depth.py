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


COLOURS = {key: f"C{i}" for i, key in enumerate(NAMES)}  # the same in both panels of distances
DISTANCE = r"largest $\|U_T - U^*\|\ /\ \|U^*\|$"


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
    axes.set(xscale="log", yscale="log", xlabel="updates T", ylim=(1e-9, 1e3), ylabel=DISTANCE,
             title="Distance to the exact prox (dotted: a-priori bound)")
    axes.legend(fontsize=9, loc="lower left")


def draw_time(axes, rows):
    for key, name in NAMES.items():
        mine = [r for r in rows if r["recursion"] == key and key != "jacobi"]
        if mine:
            axes.plot([float(r["microseconds_per_sample"]) for r in mine], [float(r["distance"]) for r in mine],
                      "o-", ms=3, color=COLOURS[key], label=name)
    for r in rows:
        if r["recursion"] == "exact":
            time, bound = float(r["microseconds_per_sample"]), float(r["bound"])
            axes.plot(time, bound, "*", ms=15, color="black")
            axes.annotate(f"exact solver: {time:.0f} us;\nits certificate ensures this", (time, bound), (12, 0),
                          textcoords="offset points", va="center", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="microseconds a sample, one thread", ylim=(1e-16, 1e3),
             ylabel=DISTANCE, title="Distance against time")
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(0, 0.45))


def draw_accuracy(axes, rows):
    """Of the seeds that trained; how many did not is written below."""
    def of(name, T, column):
        values = [100 * float(r[column]) for r in rows
                  if r["network"] == name and int(r["T"]) == T and r["trained"] == "yes"]
        if not values:
            return float("nan"), 0
        mean = sum(values) / len(values)
        return mean, (sum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5

    depths = sorted({int(r["T"]) for r in rows if r["network"] == "DeTraMe"})
    for column, mark, shift, colour in (("validation", "s--", 0.06, "0.55"), ("test", "o-", -0.06, "black")):
        points = [of("DeTraMe", T, column) for T in depths]
        axes.errorbar([T + shift for T in depths], [p[0] for p in points], [p[1] for p in points], fmt=mark,
                      color=colour, capsize=3, ms=5, label=f"DeTraMe, {column}")
    for name, colour in (("DDL exact", "C6"), ("plain ReLU", "C9")):
        axes.axhline(of(name, 0, "test")[0], ls="-.", color=colour, label=f"{name}, test")
    low, _ = axes.get_ylim()
    for T in depths:
        seeds = [r["trained"] for r in rows if r["network"] == "DeTraMe" and int(r["T"]) == T]
        if "no" in seeds:
            axes.annotate(f"T = {T}: {seeds.count('no')} of {len(seeds)} seeds did not train, and is left out",
                          (T, low - 0.12 * (100 - low)), (-6, 4), textcoords="offset points", fontsize=9)
            low -= 0.08 * (100 - low)
    axes.set(xlabel="updates T", ylabel="accuracy, %", ylim=(low - 0.08 * (100 - low), 100), xticks=depths,
             title="Trained networks, mean ± deviation over seeds")
    axes.legend(fontsize=9, loc="upper right", ncol=2)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: plot_depth.py FOLDER")
    try:
        import matplotlib
    except ImportError:
        sys.exit("No picture: matplotlib is missing (Debian: python3-matplotlib).")
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    folder = sys.argv[1]
    depth = read(os.path.join(folder, "depth.csv"))
    training = read(os.path.join(folder, "training.csv"))
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    draw_depth(axes[0], depth)
    draw_time(axes[1], depth)
    draw_accuracy(axes[2], training)
    for each in axes:
        each.grid(color="0.92", lw=0.8)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    target = os.path.join(folder, "depth.svg")
    figure.savefig(target + ".part", format="svg")
    os.replace(target + ".part", target)
    print(f"Picture: {target}")


if __name__ == "__main__":
    main()
