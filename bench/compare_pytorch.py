# SPDX-License-Identifier: Apache-2.0
"""Dense Q-metric ReLU beside PyTorch, in one run: medians of rounds taken by turns, and their ratios.

    cmake --preset bench && cmake --build --preset bench
    python bench/compare_pytorch.py build/bench/bench/bench_dense_bench

PyTorch's figure is, in each round, the best of: eager with samples in rows, eager with samples in columns, in place (forward
alone), and torch.compile. A ratio above 1 says that this library is faster. Absolute times drift on shared machines; ratios of one
run are what counts, and `peak` says what share of the measured FMA peak this library reached.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_dense_bench")
arguments.add_argument("--rounds", type=int, default=7)
arguments.add_argument("--threads", type=int, nargs="*", default=[1, 2])
arguments.add_argument("--k", type=int, nargs="*", default=[64, 256, 1024])
arguments.add_argument("--T", type=int, nargs="*", default=[5, 20])
arguments.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
arguments.add_argument("--cpu-time", action="store_true",
                       help="processor time instead of wall time, for a machine busy with other work; 1 thread alone")
options = arguments.parse_args()
if options.cpu_time:
    options.threads = [1]
clock = time.process_time if options.cpu_time else time.perf_counter

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("compare_pytorch.py: no PyTorch here, nothing to compare with")

N = 1024


def layer_rows(x, W_t, h, b, T):
    """x: N x k, a row a sample."""
    g = h * x - x @ W_t - b
    u = F.relu(g)
    for _ in range(T - 1):
        u = F.relu(torch.addmm(g, u, W_t))
    return u


def layer_columns(x, W, h, b, T):
    """x: k x N, a column a sample."""
    g = h * x - W @ x - b
    u = F.relu(g)
    for _ in range(T - 1):
        u = F.relu(torch.addmm(g, W, u))
    return u


def layer_in_place(x, W_t, h, b, T):
    g = torch.addmm(torch.addcmul(-b, h, x), x, W_t, alpha=-1)
    u = F.relu(g)
    for _ in range(T - 1):
        u = torch.addmm(g, u, W_t).relu_()
    return u


def pytorch_jobs(k, T, pullback):
    """name -> a call that does the work once."""
    torch.manual_seed(0)
    W = (.5 / k**.5 * (2 * torch.rand(k, k) - 1)).requires_grad_(pullback)
    x = torch.rand(N, k).mul_(2).sub_(1)
    jobs = {}

    def add(name, function, x, W, shape):
        x = x.clone().requires_grad_(pullback)
        h = torch.full(shape, .9, requires_grad=pullback)
        b = torch.full(shape, .01, requires_grad=pullback)

        def forward():
            with torch.no_grad():
                function(x, W.t() if shape[0] == 1 else W, h, b, T)

        def both():
            for parameter in (x, W, h, b):
                parameter.grad = None
            y = function(x, W.t() if shape[0] == 1 else W, h, b, T)
            y.backward(torch.ones_like(y))

        jobs[name] = both if pullback else forward

    add("rows", layer_rows, x, W, (1, k))
    add("columns", layer_columns, x.t().contiguous(), W, (k, 1))
    if not pullback:
        add("in place", layer_in_place, x, W, (1, k))
    if not options.no_compile:
        torch._dynamo.reset()
        add("compile", torch.compile(layer_rows), x, W, (1, k))
    for job in jobs.values():
        job(), job()
    return jobs


def seconds(job, least=.1):
    job()
    count, elapsed = 0, 0.
    start = clock()
    while elapsed < least:
        job()
        count += 1
        elapsed = clock() - start
    return elapsed / count


def ours(name):
    """Seconds a call, and the share of the peak, from one short run of Google Benchmark."""
    command = [options.program, f"--benchmark_filter=^{name}/real_time$", "--benchmark_min_time=0.1", "--benchmark_format=json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    run, = json.loads(output)["benchmarks"]
    took = run["cpu_time" if options.cpu_time else "real_time"]
    return took * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}[run["time_unit"]], run["of_peak"]


print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; N = {N}, float; medians of {options.rounds} rounds, "
      f"{'processor' if options.cpu_time else 'wall'} time")
print(f"{'':34}{'PyTorch ms':>11}{'best of':>10}{'ours ms':>9}{'ratio':>7}{'peak':>6}")
for threads in options.threads:
    torch.set_num_threads(threads)
    for k in options.k:
        for T in options.T:
            for what in ("forward", "forward_pullback"):
                jobs = pytorch_jobs(k, T, what != "forward")
                name = f"QMetricReLU/dense/{what}/k:{k}/T:{T}/N:{N}/threads:{threads}"
                theirs, mine, ratios, peaks = {key: [] for key in jobs}, [], [], []
                for _ in range(options.rounds):
                    for key, job in jobs.items():
                        theirs[key].append(seconds(job))
                    took, peak = ours(name)
                    mine.append(took), peaks.append(peak)
                    ratios.append(min(times[-1] for times in theirs.values()) / took)
                best = min(theirs, key=lambda key: statistics.median(theirs[key]))
                print(f"{what:17}k {k:4}  T {T:2}  {threads} thr{1e3 * statistics.median(theirs[best]):11.3f}{best:>10}"
                      f"{1e3 * statistics.median(mine):9.3f}{statistics.median(ratios):7.2f}{statistics.median(peaks):6.2f}",
                      flush=True)
