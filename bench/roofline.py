#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rewrites the tables of docs/performance.md, between its two markers, and docs/roofline.svg.

    cmake --workflow --preset bench
    python3 bench/roofline.py build/bench/bench

Runs bench_peak_bench for the peaks of the machine and bench_phase_bench for the phases of the Q-metric ReLU, on one thread, and takes medians
of repetitions that Google Benchmark shuffles; of the peaks the largest values, since busy neighbours only lower them.
"""
import argparse
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
PICTURE = PAGE.with_name("roofline.svg")
BEGIN, END = "<!-- bench/roofline.py writes from here -->\n", "<!-- to here -->\n"
PHASES = ["weights", "input", "products", "output", "cotangent", "gradient"]
TRIADS = {"L2": 192, "L3": 6144, "memory": 393216}  # KiB, as in peak_bench


def milliseconds(seconds):
    ms = 1e3 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"


def run(program, *flags):
    """Google Benchmark's JSON."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    command = [program, "--benchmark_format=json", *flags]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


class Case:
    """A call: medians of the counters of its repetitions."""

    def __init__(self, name, repetitions):
        _, self.kind, *sizes, self.what = name.split("/")
        self.size = {key: int(value) for key, value in (size.split(":") for size in sizes)}
        self.number = {key: statistics.median(r[key] for r in repetitions)
                       for key in repetitions[0] if isinstance(repetitions[0][key], (int, float))}
        self.seconds = self.number["seconds"]
        self.flops = sum(self.number[f"{phase}_flops"] for phase in PHASES)

    @property
    def label(self):
        s = self.size
        return f"{s['C']}, {s['HW']}×{s['HW']}, {s['T']}" if self.kind == "conv" else f"k = {s['k']}, {s['T']}"

    def share(self, phase):
        return self.number[f"{phase}_seconds"] / self.number["clocked_seconds"]

    def rate(self, phase):
        return self.number[f"{phase}_flops"] / self.number[f"{phase}_seconds"]

    def intensity(self, phase):
        return self.number[f"{phase}_flops"] / self.number[f"{phase}_bytes"]

    def has(self, phase):
        return self.number[f"{phase}_flops"] > 0


def measure(folder, repetitions, min_time):
    flags = [f"--benchmark_repetitions={repetitions}", f"--benchmark_min_time={min_time}"]
    peaks = run(folder / "bench_peak_bench", *flags, "--benchmark_filter=peak/fma/float/threads:1/|peak/triad")["benchmarks"]
    phases = run(folder / "bench_phase_bench", *flags, "--benchmark_enable_random_interleaving=true")
    by_name = {}
    for r in phases["benchmarks"]:
        if "error_message" in r:
            sys.exit(f"roofline.py: {r['name']}: {r['error_message']}")
        if r["run_type"] == "iteration":
            by_name.setdefault(r["run_name"].removesuffix("/manual_time"), []).append(r)
    order = list(dict.fromkeys(r["run_name"].removesuffix("/manual_time") for r in
                               sorted(phases["benchmarks"], key=lambda r: r["family_index"])))
    cases = [Case(name, by_name[name]) for name in order]
    flat = [r for r in peaks if r["run_type"] == "iteration"]
    peak = max([r["flop/s"] for r in flat if "flop/s" in r] + [r["peak"] for rs in by_name.values() for r in rs])
    bandwidth = {name: max(r["B/s"] for r in flat if r["run_name"].endswith(f"KiB:{KiB}")) for name, KiB in TRIADS.items()}
    return phases["context"], cases, peak, bandwidth


def machine(context):
    model, vectors = "an unknown processor", ""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in lines.items()}
        model = fields.get("model name", model)
        vectors = next((f", {name}" for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in fields.get("flags", "").split()), "")
    except OSError:
        pass
    caches = ", ".join(f"L{c['level']} {c['size'] // 1024} KiB" for c in context["caches"] if c["type"] != "Instruction")
    return f"{context['num_cpus']} cores of {model}{vectors}; {caches}"


def tables(context, cases, peak, bandwidth, repetitions):
    giga = 1e-9
    compiler, date = context["compiler"], datetime.date.today().isoformat()
    if "lang" not in compiler:
        compiler = f"g++ {compiler}"
    lines = [
        f"Measured {date} on a shared machine: {machine(context)}; {compiler}, `-O3 -march=native`; float, one thread, processor time, medians "
        f"of {repetitions} repetitions.",
        "",
        f"Peaks of that thread: {peak * giga:.0f} GFLOP/s of multiply-adds in registers; triad {bandwidth['L2'] * giga:.0f} GB/s in the L2 cache, "
        f"{bandwidth['L3'] * giga:.0f} GB/s beyond it, {bandwidth['memory'] * giga:.0f} GB/s in memory.",
        "",
        "| C, image, T, or k, T | | ms | useful GFLOP/s | of peak | real GFLOP/s | of peak | flop/byte of memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for c in cases:
        useful, real = c.number["useful_flops"] / c.seconds, c.flops / c.seconds
        lines.append(f"| {c.label} | {c.what.replace('_', ', ')} | {milliseconds(c.seconds)} | {useful * giga:.0f} | {useful / peak:.2f} | "
                     f"{real * giga:.0f} | {real / peak:.2f} | {c.flops / c.number['least_bytes']:.0f} |")
    lines += [
        "",
        "Shares of the time in %, and behind `@` the real arithmetic of a phase in % of the peak:",
        "",
        "| C, image, T, or k, T | | " + " | ".join(PHASES) + " | rest | clocked ÷ whole |",
        "|---|---|" + "---|" * (len(PHASES) + 2),
    ]
    for c in cases:
        cells = [f"{100 * c.share(p):.0f}" + (f" @ {100 * c.rate(p) / peak:.0f}" if c.has(p) else "")
                 if c.number[f"{p}_bytes"] > 0 else "" for p in PHASES]
        rest = 1 - sum(c.share(p) for p in PHASES)
        lines.append(f"| {c.label} | {c.what.replace('_', ', ')} | " + " | ".join(cells) +
                     f" | {100 * max(rest, 0):.0f} | {c.number['clocked_seconds'] / c.seconds:.2f} |")
    off = [f"{c.label} ({c.what.replace('_', ', ')})" for c in cases if abs(c.number["clocked_seconds"] / c.seconds - 1) > .1]
    lines += ["", "Clocked calls take as long as whole ones within 10 %" + (f", but for {'; '.join(off)}." if off else ".")]
    return "\n".join(lines) + "\n"


def draw(cases, peak, bandwidth):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    matplotlib.rcParams.update({"svg.hashsalt": "detrame", "font.size": 9})
    giga = 1e-9
    labels = list(dict.fromkeys(c.label for c in cases))
    mark = dict(zip(labels, "os^Dv<>P"))
    colour = {phase: f"C{i}" for i, phase in enumerate(PHASES)}
    figure, (calls, phases) = pyplot.subplots(1, 2, figsize=(11, 5.2), sharey=True)

    def roofs(axes, names, low, high):
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(1, 400))
        axes.axhline(peak * giga, color="black", lw=1)
        axes.text(low * 1.1, peak * giga * 1.06, f"multiply-adds in registers, {peak * giga:.0f} GFLOP/s", fontsize=8)
        for name in names:
            slope = bandwidth[name] * giga
            ridge = peak * giga / slope
            axes.plot([low, ridge], [low * slope, peak * giga], color="black", lw=1, ls="-" if name != "L3" else "--")
            x = max(low, 1 / slope) * 1.35
            offset = (4, -10) if name == "L3" else (-3, 5)  # below its line: that of L2 may be close
            axes.annotate(f"{name}, {slope:.0f} GB/s", (x, x * slope), xytext=offset, textcoords="offset points",
                          rotation_mode="anchor", rotation=slope_angle(axes), fontsize=8)
        axes.grid(which="major", color="0.9", lw=.6)
        axes.set_axisbelow(True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")

    def slope_angle(axes):
        """Of a line of slope 1 in these logarithmic axes, in degrees."""
        box = axes.get_position()
        width, height = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        return math.degrees(math.atan2(height / math.log(y1 / y0), width / math.log(x1 / x0)))

    figure.subplots_adjust(left=.06, right=.985, top=.93, bottom=.27, wspace=.05)
    roofs(calls, ["memory"], 1, 2000)
    for c in cases:
        x, real, useful = c.flops / c.number["least_bytes"], c.flops / c.seconds * giga, c.number["useful_flops"] / c.seconds * giga
        full = c.what == "forward"
        calls.plot([x, x], [real, useful], color="0.75", lw=1, zorder=1)
        calls.plot(x, useful, mark[c.label], ms=4, color="0.6", mfc="0.6" if full else "white", zorder=2)
        calls.plot(x, real, mark[c.label], ms=6, color="C0", mfc="C0" if full else "white", zorder=3)
    calls.set(xlabel="real flops per byte of memory that must move", ylabel="GFLOP/s", title="Calls")
    roofs(phases, ["L2", "L3", "memory"], .1, 100)
    for c in cases:
        for phase in PHASES:
            if c.what == "forward_pullback" and c.has(phase):
                phases.plot(c.intensity(phase), c.rate(phase) * giga, mark[c.label], ms=6, color=colour[phase], mfc="none", mew=1.3)
    phases.set(xlabel="real flops per byte that the phase reads or writes", title="Phases of forward, pullback")

    shapes = [Line2D([], [], ls="", marker=mark[label], color="black", mfc="none", label=label) for label in labels]
    fills = [Line2D([], [], ls="", marker="o", color="C0", label="forward"),
             Line2D([], [], ls="", marker="o", color="C0", mfc="white", label="forward, pullback"),
             Line2D([], [], ls="", marker="o", ms=4, color="0.6", label="useful flops")]
    colours = [Line2D([], [], ls="", marker="s", color=colour[phase], label=phase) for phase in PHASES]
    for entries, x, columns, title in ((fills, .06, 1, "left"), (shapes, .3, 3, "C, image, T, or k, T"), (colours, .74, 2, "right")):
        figure.legend(handles=entries, loc="lower left", bbox_to_anchor=(x, .01), ncols=columns, fontsize=8, title=title,
                      title_fontsize=8, frameon=False, alignment="left")
    figure.savefig(PICTURE, metadata={"Date": None})


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, help="where bench_peak_bench and bench_phase_bench are")
    arguments.add_argument("--repetitions", type=int, default=7)
    arguments.add_argument("--min-time", type=float, default=.05, help="seconds a repetition")
    options = arguments.parse_args()
    context, cases, peak, bandwidth = measure(options.folder, options.repetitions, options.min_time)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    draw(cases, peak, bandwidth)
    PAGE.write_text(before + BEGIN + "\n" + tables(context, cases, peak, bandwidth, options.repetitions) + "\n" + END + after, encoding="utf-8")
    print(f"{PAGE} and {PICTURE} are written")


if __name__ == "__main__":
    main()
