#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the curves of runs: plot_training.py RUN... [--output FILE] [--title TEXT]

A RUN is a folder with epochs.csv, what --out was, or such a file under another name. Runs whose names differ in their
seeds alone, seed-1, seed-2 or ...-seed1.csv, are one curve: the mean over seeds, in a band from the lowest to the highest. Loss on
the left, accuracy on the right; on training images dotted. FILE is training.svg in the first folder unless said."""

import argparse
import csv
import json
import re
import sys
from pathlib import Path

import pictures

COLUMNS = "epoch", "train_loss", "test_loss", "train_accuracy", "test_accuracy"
DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN", "mnist": "MNIST", "usps": "USPS",
        "fashion-mnist": "Fashion-MNIST", "digits": "digits"}
FAMILIES = {"plainnet": "PlainNet", "resnet": "ResNet", "wideresnet": "WideResNet", "deep-dictionary": "Deep dictionary"}


def read(run):
    path = run / "epochs.csv" if run.is_dir() else run
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    if not rows:
        sys.exit(f"{path} has no epoch yet")
    return {key: [float(row[key]) for row in rows] for key in COLUMNS}


def without_seed(name):
    return re.sub(r"[-_]?seed-?\d+$", "", name)


def group_of(run):
    """What the runs of one curve have in common."""
    if run.is_dir() and not without_seed(run.name):
        return str(run.parent)
    return str(run.parent / without_seed(run.stem if run.is_file() else run.name))


def network(net, depth, widen, T):
    """\"DeTraMe-ResNet-8, T = 3\""""
    family = re.sub("^(detrame|deepened)-", "", net)
    text = f"{FAMILIES.get(family, family)}-{depth}" + (f"-{widen}" if widen not in ("", "1", 1) else "")
    if net.startswith("deepened-"):
        text += " with a convolution more"
    return f"DeTraMe-{text}, T = {T}" if net.startswith("detrame-") else text


def described(run, group):
    """The network in words and the data, from the run's summary or else from its name; the name where neither tells."""
    beside = [run / "summary.json", run.with_suffix(".json")]
    for path in beside:
        if path.is_file():
            s = json.loads(path.read_text())["settings"]
            return network(s["net"], s["depth"], s["widen"], s["steps"]), DATA.get(s["dataset"], s["dataset"])
    found = re.search(r"(?P<data>cifar100|cifar10|svhn|fashion-mnist|mnist|usps|digits)(?P<variant>-.*?)??-"
                      r"(?P<net>(?:detrame-|deepened-)?(?:plainnet|resnet|wideresnet|deep-dictionary))-?(?P<depth>\d+)"
                      r"(?:-(?P<widen>\d+))?(?:-T(?P<T>\d+))?$", Path(group).name)
    if not found:
        return Path(group).name, ""
    return network(found["net"], found["depth"], found["widen"] or "", found["T"]), DATA[found["data"]]


def curve(axes, runs, column, colour, label, scale=1, style="-"):
    last = min(len(run["epoch"]) for run in runs)
    epochs = runs[0]["epoch"][:last]
    values = [[scale * run[column][i] for run in runs] for i in range(last)]
    axes.plot(epochs, [sum(v) / len(v) for v in values], style, color=colour, lw=1.4 if style == "-" else 1, label=label)
    if len(runs) > 1:
        axes.fill_between(epochs, [min(v) for v in values], [max(v) for v in values], color=colour,
                          alpha=.2 if style == "-" else .1, lw=0)


def main():
    parser = argparse.ArgumentParser(description="Draws the curves of runs of detrame-experiment.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders that --out named, or files epochs.csv")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--title")
    arguments = parser.parse_args()
    pyplot = pictures.pyplot()

    groups = {}
    for run in arguments.runs:
        groups.setdefault(group_of(run), []).append(run)
    figure, (loss, accuracy) = pyplot.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    data, epochs = [], 0
    for i, (group, members) in enumerate(groups.items()):
        runs, colour = [read(run) for run in members], f"C{i}"
        name, data_set = described(members[0], group)
        data += [data_set] if data_set and data_set not in data else []
        epochs = max(epochs, runs[0]["epoch"][-1])
        if len(runs) > 1:
            name += f" ({len(runs)} seeds)"
        curve(loss, runs, "train_loss", colour, None, style=":")
        curve(loss, runs, "test_loss", colour, name)
        curve(accuracy, runs, "train_accuracy", colour, None, 100, ":")
        curve(accuracy, runs, "test_accuracy", colour, name, 100)
    loss.set(title="Mean loss", ylabel="cross-entropy", ylim=(0, None))
    accuracy.set(title="Accuracy", ylabel="images classified rightly, %")
    accuracy.plot([], [], "-", color="0.4", lw=1.4, label="on test images")
    accuracy.plot([], [], ":", color="0.4", lw=1, label="on training images")
    for axes in (loss, accuracy):
        axes.set(xlabel="epoch", xlim=(0 if epochs > 20 else 1, epochs))
        axes.xaxis.get_major_locator().set_params(integer=True)
        pictures.plain(axes)
    accuracy.legend(fontsize=8, frameon=False, loc="lower right")
    figure.suptitle(arguments.title or " and ".join(data))
    output = arguments.output or (arguments.runs[0] if arguments.runs[0].is_dir() else arguments.runs[0].parent) / "training.svg"
    pictures.save(figure, output)
    print(f"the curves are in {output}")


if __name__ == "__main__":
    main()
