# SPDX-License-Identifier: Apache-2.0
"""Regularisation paths beside scikit-learn's `enet_path`, sample by sample, by turns in one run.

    cmake --preset bench && cmake --build --preset bench
    pip install scikit-learn
    python bench/compare_path.py build/bench/bench/bench_exact_bench [--data cifar-10-batches-bin]

    min_a  1/2 |x - D a|^2 + alpha/2 |a|^2 + lambda |a|_1,   a >= 0

for 100 values of lambda, from the one where a code becomes 0 down to a thousandth of it, in equal ratios. Patches and atoms as
compare_sparse.py's: 8 x 8, k = 256, alpha = 1e-3. One thread, processor time, double. Ours: `regularisation_path` of one column a
call, which forms D^T D anew in each. scikit-learn: `enet_path` on [D; sqrt(alpha) I] with the Gram matrix and D^T x given,
positive=True, its own tolerance of 1e-4 unless --tolerance says otherwise. residual: the largest natural residual
|a - (a - g - lambda)_+|_i over the terms t_i that it is summed from, (U5), of each one's own codes.
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
from sklearn.linear_model import enet_path

from patches import pictures, patches

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_exact_bench")
arguments.add_argument("--data", type=Path, help="folder of the binary version of CIFAR-10")
arguments.add_argument("--samples", type=int, default=200)
arguments.add_argument("--atoms", type=int, default=256)
arguments.add_argument("--count", type=int, default=100, help="values of lambda")
arguments.add_argument("--ratio", type=float, default=1e-3, help="the last value over the first")
arguments.add_argument("--tolerance", type=float, default=1e-4, help="scikit-learn's")
arguments.add_argument("--rounds", type=int, default=3)
options = arguments.parse_args()
warnings.filterwarnings("ignore")  # scikit-learn's, of points that do not converge

random = np.random.default_rng(options.atoms)
images = pictures(options.data)
D, X, alpha = patches(images, 8, options.atoms, random), patches(images, 8, options.samples, random), 1e-3
(m, k), N = D.shape, options.samples
H = D.T @ D + alpha * np.eye(k)
stacked = np.asfortranarray(np.vstack([D, np.sqrt(alpha) * np.eye(k)]))


def theirs(lambdas):
    """Seconds, codes: N x k x count."""
    start = time.process_time()
    codes = []
    for j in range(N):
        x = np.concatenate([X[:, j], np.zeros(k)])
        codes.append(enet_path(stacked, x, l1_ratio=1., alphas=lambdas[j] / len(x), precompute=H, Xy=D.T @ X[:, j],
                               positive=True, tol=options.tolerance)[1])
    return time.process_time() - start, np.array(codes)


def ours(folder):
    """Seconds, lambdas, codes, how many points are not optimal."""
    lines = subprocess.run([options.program, "path", folder + "/problem", folder + "/solution", "1", str(options.count),
                            str(options.ratio)], check=True, capture_output=True, text=True).stdout.split("\n")
    points = np.fromfile(folder + "/solution").reshape(N, options.count, k + 1)
    return float(lines[0].split()[2]), points[:, :, 0], points[:, :, 1:].transpose(0, 2, 1), int(lines[1].split()[1])


def residual(codes, lambdas):
    worst, root = 0, np.sqrt(np.diag(H))[:, None]
    lengths = np.linalg.norm(D, axis=0)[:, None]
    for j in range(N):
        U, bend = codes[j], lambdas[j]
        terms = root * (root * U).sum(0) + lengths * np.linalg.norm(X[:, j]) + bend
        worst = max(worst, (np.abs(U - np.maximum(U - (H @ U - (D.T @ X[:, j])[:, None]) - bend, 0)) / terms).max())
    return worst


with tempfile.TemporaryDirectory() as folder:
    with open(folder + "/problem", "wb") as file:
        np.array([m, k, N], dtype=np.int64).tofile(file)
        np.array([alpha, 0., 0.]).tofile(file)
        for matrix in (D, X):
            file.write(matrix.tobytes(order="F"))
    seconds = {"detrame": [], "scikit-learn": []}
    for turn in range(options.rounds):
        measured, lambdas, codes, wrong = ours(folder)
        seconds["detrame"].append(measured / N)
        measured, other = theirs(lambdas)
        seconds["scikit-learn"].append(measured / N)
median = {name: statistics.median(values) for name, values in seconds.items()}
support = (codes > 0).sum(axis=1)
print(f"milliseconds a path of {options.count} values of lambda down to {options.ratio:g} of the first, k = {k}, {N} samples; "
      f"patches of {'CIFAR-10' if options.data else 'the test card'}; supports up to {support.max()}, points not optimal {wrong}")
for name, values in [("detrame", codes), ("scikit-learn", other)]:
    print(f"    {name:24} {median[name] * 1e3:10.2f}  {median[name] / median['detrame']:8.2f} x   residual {residual(values, lambdas):.1e}")
if wrong:
    sys.exit("compare_path.py: points are not optimal")
