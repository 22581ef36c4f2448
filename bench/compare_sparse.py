# SPDX-License-Identifier: Apache-2.0
"""Sparse codes beside SPAMS, scikit-learn, SciPy and DAQP, on the same problems, by turns in one run.

    cmake --preset bench && cmake --build --preset bench
    pip install spams-bin scikit-learn scipy daqp
    python bench/compare_sparse.py build/bench/bench/bench_exact_bench [--data cifar-10-batches-bin]

    min_a  1/2 |x - D a|^2 + (alpha + beta)/2 |a|^2 + lambda |a|_1,   a >= 0, or any a with --signed

Patches of a picture, 8 x 8 or 12 x 12, mean removed, unit norm, and patches of it as atoms, alpha = 1e-3: of a test card that is
drawn here, or, with --data, of the gray CIFAR-10 images in that folder. Gaussian: unit-norm atoms in k/2 dimensions, 30 %-dense
codes, alpha = beta = .01. Seeds are fixed. All in double, one thread unless --threads says otherwise, processor time (wall time
with more threads); SPAMS and ours get the whole batch, the others the first --columns columns, one at a time where that is
how they are called. Peers that are not installed are left out. residual: the largest natural residual
|u - (u - g - lambda)_+|_i over the terms t_i that it is summed from, (U5), of each peer's own answer. With --sparse N: behind each
case the time and the memory of N columns in ours, the samples over and over, their codes without zeros.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from patches import patches, pictures

cases = {  # name: side of a patch (0: Gaussian), k, lambda
    "patches-64": (8, 64, .15), "patches-256": (8, 256, .15), "patches-256-sparse": (8, 256, .3),
    "patches-512": (12, 512, .15), "patches-1024": (8, 1024, .15), "patches-100-dense": (8, 100, .02),
    "gaussian-32": (0, 32, .1), "gaussian-128": (0, 128, .1), "gaussian-512": (0, 512, .1),
}
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_exact_bench")
arguments.add_argument("--case", nargs="*", default=list(cases), choices=list(cases))
arguments.add_argument("--data", type=Path, help="folder of the binary version of CIFAR-10")
arguments.add_argument("--signed", action="store_true", help="codes of any sign")
arguments.add_argument("--samples", type=int, default=10000)
arguments.add_argument("--columns", type=int, default=50, help="how many the slow peers are timed on")
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--rounds", type=int, default=3)
arguments.add_argument("--sparse", type=int, metavar="N", help="N columns as sparse codes, too; nonnegative ones")
arguments.add_argument("--float", action="store_true", help="ours in float, too")
options = arguments.parse_args()
if options.sparse and options.signed:
    arguments.error("--sparse is for nonnegative codes")
clock = time.process_time if options.threads == 1 else time.perf_counter
warnings.filterwarnings("ignore")


def peer(name):
    try:
        return __import__(name, fromlist=["x"])
    except ImportError:
        print(f"compare_sparse.py: no {name}, left out", file=sys.stderr)


spams, decomposition, optimize, daqp = map(peer, ["spams", "sklearn.decomposition", "scipy.optimize", "daqp"])


def problem(name, images):
    side, k, lambda_ = cases[name]
    random = np.random.default_rng(k)
    if side:
        return patches(images, side, k, random), patches(images, side, options.samples, random), 1e-3, 0., lambda_
    D = random.standard_normal((k // 2, k))
    D /= np.linalg.norm(D, axis=0)
    N = min(options.samples, 1000) if k > 256 else options.samples
    return D, D @ (random.random((k, N)) * (random.random((k, N)) < .3)), .01, .01, lambda_


def residual(D, X, U, s, lambda_):
    g = D.T @ (D @ U - X) + s * U
    v = U - g
    shrunk = np.sign(v) * np.maximum(np.abs(v) - lambda_, 0) if options.signed else np.maximum(v - lambda_, 0)
    lengths = np.linalg.norm(D, axis=0)[:, None]
    root = np.sqrt(lengths ** 2 + s)
    terms = root * (root * np.abs(U)).sum(0) + lengths * np.linalg.norm(X, axis=0) + lambda_
    return (np.abs(U - shrunk) / terms).max()


def peers(D, X, s, lambda_):
    """name: (columns, a function of them)"""
    m, k = D.shape
    few = min(options.columns, X.shape[1])
    D, X, root = np.asfortranarray(D), np.asfortranarray(X), np.sqrt(s)
    found = {}
    if spams:
        found["SPAMS"] = X.shape[1], lambda n: spams.lasso(X, D=D, lambda1=lambda_, lambda2=s, pos=not options.signed,
                                                           mode=2, numThreads=options.threads).toarray()
    stacked = np.vstack([D, root * np.eye(k)])  # the elastic net as a lasso, or as least squares
    if decomposition:
        lifted = np.vstack([X[:, :few], np.zeros((k, few))]).T
        for how in ("lasso_lars", "lasso_cd"):
            coder = decomposition.SparseCoder(stacked.T, transform_algorithm=how, transform_alpha=lambda_, n_jobs=1,
                                              positive_code=not options.signed, transform_max_iter=5000)
            found[f"scikit-learn {how}"] = few, lambda n, coder=coder: coder.transform(lifted[:n]).T
    if optimize and not options.signed:
        shift = np.full(k, -lambda_ / root)
        found["scipy nnls"] = few, lambda n: np.array(
            [optimize.nnls(stacked, np.concatenate([X[:, j], shift]), maxiter=30 * k)[0] for j in range(n)]).T
    if daqp and not options.signed:
        H = D.T @ D + s * np.eye(k)
        none, upper, kinds = np.zeros((0, k)), np.full(k, 1e30), np.zeros(k, dtype=np.int32)
        found["DAQP"] = few, lambda n: np.array(
            [daqp.solve(H, lambda_ - D.T @ X[:, j], none, upper, np.zeros(k), kinds)[0] for j in range(n)]).T
    return found


def ours(folder, shape, scalar):
    """Seconds, codes, how many columns are not optimal."""
    kind = "signed" if options.signed else "nonnegative"
    lines = subprocess.run([options.program, "encode", folder + "/problem", folder + "/solution", str(options.threads),
                            "3", kind, scalar], check=True, capture_output=True, text=True).stdout.split("\n")
    seconds = [float(v) for v in lines[0].split()[1:]][options.threads == 1::2]  # wall, processor, ...
    return seconds, np.fromfile(folder + "/solution").reshape(shape[::-1]).T, int(lines[1].split()[1])


images = pictures(options.data)
source = "CIFAR-10" if options.data else "the test card"
print(f"microseconds a column, medians, {options.threads} thread(s), {'signed' if options.signed else 'nonnegative'} codes; patches of {source}")
for name in options.case:
    D, X, alpha, beta, lambda_ = problem(name, images)
    N, k = X.shape[1], D.shape[1]
    methods = peers(D, X, alpha + beta, lambda_)
    seconds, codes, wrong = {}, {}, 0
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/problem", "wb") as file:
            np.array([*D.shape, N], dtype=np.int64).tofile(file)
            np.array([alpha, beta, lambda_]).tofile(file)
            for matrix in (D, X):
                file.write(matrix.tobytes(order="F"))
        for turn in range(options.rounds):
            for scalar in ["double"] + ["float"] * options.float:
                label = "detrame" if scalar == "double" else "detrame, float"
                measured, codes[label], failed = ours(folder, (k, N), scalar)
                seconds.setdefault(label, []).extend(value / N for value in measured)
                wrong += failed
            for label, (n, method) in methods.items():
                if n < N and turn > 0:
                    continue
                start = clock()
                codes[label] = method(n)
                seconds.setdefault(label, []).append((clock() - start) / n)
        many = options.sparse and subprocess.run(
            [options.program, "encode_sparse", folder + "/problem", str(options.threads), str(options.sparse),
             "float" if options.float else "double"], check=True, capture_output=True, text=True).stdout
    medians = {label: statistics.median(values) for label, values in seconds.items()}
    support = (codes["detrame"] != 0).sum() / N
    print(f"{name}: k = {k}, N = {N}, support {support:.1f}, columns not optimal {wrong}")
    for label, median in sorted(medians.items(), key=lambda item: item[1]):
        n = codes[label].shape[1]
        worst = residual(D, X[:, :n], codes[label], alpha + beta, lambda_)
        print(f"    {label:24} {median * 1e6:10.2f}  {median / medians['detrame']:8.2f} x   residual {worst:.1e}", flush=True)
    if many:
        print("    " + many.strip().replace("\n", "\n    "), flush=True)
    if wrong:
        sys.exit("compare_sparse.py: columns are not optimal")
