#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of docs/results.md from what was run: results_tables.py [--check]

The paper's figures come from examples/experiment/published.hpp, its epochs and images from protocol.hpp beside it, ours from docs/results/*.csv (a run's epochs.csv) and the
.json beside one (its summary.json), hours and numbers of parameters from docs/results/tables.md, which is what
`detrame-experiment table` prints. A run's files are named

    DATASET[-Nepochs]-NETWORK[-WIDEN][-Tk]-seedS.csv        cifar10-200epochs-detrame-resnet8-T3-seed1.csv

and files with anything else in their names, runs of some images or of other rates, are no rows of these tables. Of a row's
runs those with the most epochs count, one a seed. A table stands in docs/results.md between

    <!-- table 4 -->  and  <!-- end of table 4 -->

Summaries that `attack` and `noise` left, under any names, fill the tables of robustness.

With --check nothing is written; status 1 where the page is not what it would be. Writes docs/results/figure2.csv too."""

import argparse
import ast
import csv
import io
import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
NAME = re.compile(r"(?P<data>cifar100|cifar10|svhn|fashion-mnist|mnist|digits)(?:-\d+epochs)?-"
                  r"(?P<net>(?:detrame-)?(?:plainnet|resnet|wideresnet|deep-dictionary))-?(?P<depth>\d+)"
                  r"(?:-(?P<widen>\d+))?(?:-T(?P<T>\d+))?-seed(?P<seed>\d+)")
DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN"}


def protocol():
    """Epochs, and images to train on, by data set: of protocol.hpp."""
    text = (ROOT / "examples/experiment/protocol.hpp").read_text()
    numbers = {name: int(value) for name, value in re.findall(r"\b(svhn_\w+) = (\d+)", text)}
    rows = re.findall(r'^    \{"([a-z0-9-]+)", ([^,]+), [^,]+, (\d+), ', text, re.M)
    if not {"mnist", *DATA} <= {name for name, *_ in rows}:
        sys.exit("results_tables.py: protocol.hpp has no table of data sets")
    images = {name: sum(int(numbers.get(n, n)) for n in train.split(" + ")) for name, train, _ in rows}
    return {name: int(epochs) for name, _, epochs in rows}, images


def published(name):
    """A table of published.hpp as nested lists."""
    text = (ROOT / "examples/experiment/published.hpp").read_text()
    found = re.search(rf"\b{name}(\{{\{{.*?\}}\}});", text, re.S)
    if not found:
        sys.exit(f"results_tables.py: published.hpp has no {name}")
    return ast.literal_eval(found[1].replace("{", "[").replace("}", "]"))[0]


FULL, IMAGES = protocol()


def in_tables(pattern):
    """Rows of what `detrame-experiment table` printed, at least one."""
    rows = re.findall(pattern, (RESULTS / "tables.md").read_text(), re.M)
    if not rows:
        sys.exit(f"results_tables.py: docs/results/tables.md has no row like {pattern}")
    return rows


class Runs:
    def __init__(self):
        self.of = {}
        for path in sorted(RESULTS.glob("*.csv")):
            found = NAME.fullmatch(path.stem)
            if not found:
                continue
            with open(path, newline="") as f:
                rows = list(csv.DictReader(f))
            if not rows:
                sys.exit(f"{path}: no epoch")
            summary = path.with_suffix(".json")
            summary = json.loads(summary.read_text()) if summary.exists() else {}
            seconds = sum(float(row["seconds"]) for row in rows)
            processor = sum(float(row.get("processor_seconds") or 0) for row in rows)
            busy = 0 < processor < .8 * summary.get("threads", 1) * seconds  # as the runner's table has it
            key = (found["data"], found["net"], int(found["depth"]), int(found["widen"] or 1), int(found["T"] or 0))
            self.of.setdefault(key, []).append({
                "file": path.name, "seed": int(found["seed"]), "epochs": int(rows[-1]["epoch"]),
                "accuracy": 100 * float(rows[-1]["test_accuracy"]),
                "seconds": processor if busy else seconds, "busy": busy,
                "test_seconds": None if busy else summary.get("test_seconds_an_image")})
        self.speed = {(title, data, "" if T == "-" else T): float(speed) for title, data, T, speed in in_tables(
            r"^  (\S.*?) +(cifar10|cifar100|svhn) +(-|\d+) .*not run here: .* at ([\d.]+) images/s")}
        self.parameters = {}  # by title, data, whether it is the twin
        for title, data, count in in_tables(r"^  (\S.*?) +(cifar10|cifar100|svhn) +(\d+) +\d+\.\d\d   "):
            self.parameters[title.removesuffix(" DeTraMe"), data, int(title.endswith(" DeTraMe"))] = int(count)

    def longest(self, *key):
        runs = self.of.get(key, [])
        most = max((run["epochs"] for run in runs), default=0)
        return [run for run in runs if run["epochs"] == most]

    def accuracy(self, title, data, net, depth, widen, T):
        """Ours, with its file, or why there is none."""
        runs = self.longest(data, net, depth, widen, T)
        if not runs:
            name = title + (" DeTraMe" if net.startswith("detrame-") else "")
            speed = self.speed.get((name, data, str(T or "")))
            if not speed:
                return "not run here"
            return f"not run here: {FULL[data] * IMAGES[data] / speed / 3600:.0f} hours at {speed:g} images/s"
        text = figure(*mean([run["accuracy"] for run in runs]))
        seeds = f"{len(runs)} seeds" if len(runs) > 1 else "1 seed"
        return (f"[{text}](results/{runs[0]['file']}) ({seeds}, {runs[0]['epochs']} of "
                f"{FULL.get(data, runs[0]['epochs'])} epochs)")

    def seconds(self, what, *key):
        values = [run[what] for run in self.longest(*key) if run[what] is not None]
        return statistics.mean(values) if values else None


def mean(values):
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0


def figure(value, deviation=0):
    return f"{value:.2f} ± {deviation:.2f}" if deviation else f"{value:.2f}"


def paper_figure(value, deviation=0):
    """published.hpp has 0 where the paper has none."""
    return "-" if value == 0 else figure(value, deviation)


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def table3(runs):
    """Against deep dictionary learning [27]."""
    ours = {"PlainNet 9-layer [30]": ("plainnet", 0), "DDL 9 [27]": ("deep-dictionary", 0),
            "DeTraMe-Net 9": ("detrame-plainnet", 2)}
    rows = []
    for title, parameters, *figures, mark in published("table3"):
        row = [title, parameters]
        for data, paper in zip(("cifar10", "cifar100"), figures):
            row.append(paper_figure(*paper) + ("\\*" if mark else ""))
            net, T = ours.get(title, ("", 0))
            row.append(runs.accuracy("PlainNet 9-layer" if "plainnet" in net else "DDL, exact", data, net, 9, 1, T)
                       if net else "")
        rows.append(row)
    return markdown(["network", "parameters", "CIFAR-10: the paper", "ours", "CIFAR-100: the paper", "ours"],
                    rows) + "\n\n\\* as [27] reports it."


def architectures():
    """title, family, depth, widen, data, the network's figure, its twin's, T."""
    for title, family, depth, widen, *sets in published("table4"):
        for data, (original, twin, T) in zip(DATA, sets):
            if T:
                yield title, family, depth, widen, data, original, twin, T


def table4(runs):
    rows = [[title, DATA[data], paper_figure(*original), runs.accuracy(title, data, family, depth, widen, 0),
             str(T), paper_figure(*twin), runs.accuracy(title, data, "detrame-" + family, depth, widen, T)]
            for title, family, depth, widen, data, original, twin, T in architectures()]
    return markdown(["network", "data", "the paper", "ours", "T of the twin", "the paper", "ours"], rows)


def table5(runs):
    keys = {"DDL [27]": ("mnist", "deep-dictionary", 4, 1, 0), "DeTraMe-Net 12": ("cifar10", "detrame-plainnet", 12, 1, 2)}
    rows = []
    for title, parameters, mark, training, testing in published("table5"):
        ours = [runs.seconds(what, *keys[title]) for what in ("seconds", "test_seconds")]
        images = IMAGES[keys[title][0]]
        mark = "\\*" if mark else ""
        rows.append([title, parameters, f"{training:.4f}{mark}", "not run here" if ours[0] is None else f"{ours[0] / images:.4f}",
                     f"{testing:.2e}{mark}", "not run here" if ours[1] is None else f"{ours[1]:.2e}"])
    return markdown(["network", "parameters", "training, s an image: the paper", "ours", "testing, s an image: the paper",
                     "ours"], rows) + "\n\n\\* averaged from what [27] reports. The paper's 0.1605 s is (E9)."


def table7(runs):
    of = {title: (family, depth, widen, T) for title, family, depth, widen, data, *_, T in architectures()
          if data == "cifar10"}
    rows = []
    for title, training, training_twin, testing, testing_twin in published("table7"):
        family, depth, widen, T = of[title]
        row = [title]
        for net, steps, train, test in ((family, 0, training, testing), ("detrame-" + family, T, training_twin, testing_twin)):
            key = ("cifar10", net, depth, widen, steps)
            seconds, longest = runs.seconds("seconds", *key), runs.longest(*key)
            unit = " processor s" if any(run["busy"] for run in longest) else ""
            tested = runs.seconds("test_seconds", *key)
            row += [f"{train:.0f}", f"{seconds:.0f}{unit} ({longest[0]['epochs']} epochs)" if seconds else "not run here",
                    f"{test:.2f}", f"{1e4 * tested:.2f}" if tested else "not measured"]
        rows.append(row)
    head = ["network"]
    for which in ("", "twin's "):
        head += [f"{which}training, s: the paper", "ours", f"{which}testing, 10⁻⁴ s an image: the paper", "ours"]
    return markdown(head, rows)


def perturbed():
    """Rows of docs/results/*.json that `attack` and `noise` left, each with what its summary says of the model."""
    for path in sorted(RESULTS.glob("*.json")):
        summary = json.loads(path.read_text())
        if "perturbation" in summary:
            model = tuple(summary[key] for key in ("net", "depth", "widen", "steps", "dataset"))
            for row in summary["rows"]:
                yield {**row, "model": model, "kind": summary["perturbation"], "file": path.name,
                       "training_seed": summary.get("training_seed", "")}


def share(rows, column):
    """Mean and deviation of a share, in percent; "" where there is none."""
    values = [100 * row[column] for row in rows if row.get(column) is not None]
    return figure(*mean(values)) if values else ""


def grouped(rows, *keys):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def model_name(net, depth, widen, steps, dataset):
    name = net.removeprefix("detrame-").replace("plainnet", "PlainNet").replace("wideresnet", "WideResNet").replace("resnet", "ResNet")
    return f"{name}-{depth}" + (f"-{widen}" if widen != 1 else "") + (f", T = {steps}" if steps else "") + f", {DATA.get(dataset, dataset)}"


def table6(runs):
    """Universal perturbations, p = inf, with both readings of the paper's xi."""
    ours = grouped((row for row in perturbed() if row["kind"] == "universal" and row["p"] == "inf"), "model", "units", "xi")
    rows = []
    for data, xi, original, twin, T in published("table6"):
        readings = [("pixels", xi), ("network", xi) if data != "svhn" else ("pixels", 255 * xi)]
        for net, paper, steps in (("wideresnet", original, 0), ("detrame-wideresnet", twin, T)):
            model = (net, 16, 8, steps, data)
            found = [ours.get((model, units, size)) for units, size in readings]
            rows.append([model_name(*model), f"{xi:g}", paper_figure(*paper),
                         *("not run here" if some is None else share(some, "changed") for some in found)])
    return markdown(["network", "ξ", "the paper", "ours, ξ in pixels of [0, 1]",
                     "ours, ξ of the normalised input (SVHN: of pixels divided by 255 once more)"], rows)


def universal(runs):
    """What was run of universal perturbations."""
    rows = []
    for (model, p, units, xi), some in grouped((row for row in perturbed() if row["kind"] == "universal"), "model", "p", "units", "xi").items():
        models = len({row["training_seed"] for row in some})
        clean, under = share(some, "clean_accuracy"), share(some, "accuracy")
        rows.append([f"[{model_name(*model)}](results/{some[0]['file']})", p, f"{xi:g} " + {"pixels": "of [0, 1]", "network": "of the input"}[units],
                     f"{statistics.mean(255 * row['l_inf'] for row in some):.1f}", f"{statistics.mean(row['of_energy'] for row in some):.2g}",
                     share(some, "changed_built"), share(some, "changed"), share(some, "changed_clipped"), share(some, "changed_random"),
                     f"{clean} → {under}", share(some, "discarded"), f"{len(some)} of {models}"])
    return markdown(["network", "p", "ξ", "largest entry of v, grey levels", "‖v‖² / mean ‖x‖²", "other labels, %: images that built v", "held out",
                     "held out, clipped", "random ±ξ", "accuracy %", "DeepFool discarded, %", "attacks, models"], rows)


def noise(runs):
    """What was run of Gaussian noise."""
    of_noise = [row for row in perturbed() if row["kind"] == "noise"]
    sizes = sorted({row["rho"] for row in of_noise})
    rows = []
    for (model, energy, clipped), some in grouped(of_noise, "model", "energy", "clipped").items():
        at = grouped(some, "rho")
        rows.append([f"[{model_name(*model)}](results/{some[0]['file']})", energy, "yes" if clipped else "no",
                     *(share(at[rho,], "changed") if (rho,) in at else "" for rho in sizes)])
    return markdown(["network", "energy", "clipped", *(f"ρ = {rho:g}" for rho in sizes)], rows)


def figure2(runs):
    """CSV: whole schedules alone are points of ours."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["data", "network", "twin", "parameters", "paper", "paper_deviation", "ours", "ours_deviation", "seeds"])
    for title, family, depth, widen, data, original, twin, T in architectures():
        for which, paper in enumerate((original, twin)):
            key = (data, ("", "detrame-")[which] + family, depth, widen, (0, T)[which])
            whole = [run["accuracy"] for run in runs.longest(*key) if run["epochs"] >= FULL[data]]
            ours = [f"{number:.4f}" for number in mean(whole)] if whole else ["", ""]
            rows.writerow([data, title, which, runs.parameters.get((title, data, which), ""), paper[0],
                           paper[1] if len(paper) > 1 else "", *ours, len(whole)])
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description="Fills the tables of docs/results.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    assert (figure(0.0), paper_figure(0.0)) == ("0.00", "-"), "an accuracy of 0 is a figure of ours, none of the paper's"
    runs = Runs()
    page = ROOT / "docs" / "results.md"
    text = page.read_text()
    for name, make in (("table 3", table3), ("table 4", table4), ("table 5", table5), ("table 6", table6), ("table 7", table7),
                       ("universal perturbations", universal), ("noise", noise)):
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.S)
        if not pattern.search(text):
            sys.exit(f"docs/results.md has no place for {name}")
        made = make(runs)
        text = pattern.sub(lambda found: found[1] + "\n" + made + "\n\n" + found[2], text)
    wrong = []
    for path, content in ((page, text), (RESULTS / "figure2.csv", figure2(runs))):
        if not path.exists() or path.read_text() != content:
            wrong.append(str(path.relative_to(ROOT)))
            if not arguments.check:
                path.write_text(content)
    if arguments.check and wrong:
        sys.exit(f"{', '.join(wrong)}: not what dev/results_tables.py makes of docs/results/*.csv")
    print("results: " + (f"written: {', '.join(wrong)}" if wrong else "the tables are those of docs/results/*.csv"))


if __name__ == "__main__":
    main()
