# SPDX-License-Identifier: Apache-2.0
"""The exact solver beside SciPy and scikit-learn, on the same problems, in one run.

    cmake --preset bench && cmake --build --preset bench
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python bench/compare_exact.py build/bench/bench/bench_exact_bench

    min_{a >= 0}  1/2 |x - D a|^2 + (alpha + beta)/2 |a|^2 + lambda |a|_1,   alpha = beta = .01, lambda = .1

with k unit-norm Gaussian atoms in m = k/2 dimensions and 64 samples of 30 %-dense codes, double. Ours: the batch with --threads
threads, exact_prox with its metric made before, as the peers may have their Gram matrix. Peers: one problem at a time, as
they are, each in the form that suits it best: nnls on the stacked matrix (D; sqrt(alpha + beta) I), and on the
Cholesky factor of the Gram matrix; ElasticNet(positive=True) with and without a Gram matrix made before, at the
tolerance that brings it to a natural residual of about 1e-12. All must agree. Rounds are taken by turns; figures are medians.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_exact_bench")
arguments.add_argument("--k", type=int, nargs="*", default=[32, 128, 512])
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--columns", type=int, default=16, help="how many of the 64 the peers are timed on, a round")
arguments.add_argument("--cpu-time", action="store_true",
                       help="processor time instead of wall time, for a machine busy with other work; 1 thread alone")
options = arguments.parse_args()
if options.cpu_time:
    options.threads = 1
clock = time.process_time if options.cpu_time else time.perf_counter

try:
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls
    from sklearn.linear_model import ElasticNet
except ImportError as error:
    sys.exit(f"compare_exact.py: nothing to compare with ({error})")
warnings.filterwarnings("ignore")

alpha, beta, lambda_, N = .01, .01, .1, 64
s = alpha + beta


def problem(k):
    random = np.random.default_rng(k)
    D = random.standard_normal((k // 2, k))
    D /= np.linalg.norm(D, axis=0)
    codes = random.random((k, N)) * (random.random((k, N)) < .3)
    return D, D @ codes


def natural_residual(D, X, U):
    g = D.T @ (D @ U - X) + s * U + lambda_
    return np.abs(U - np.maximum(0, U - g)).max()


def peers(D):
    m, k = D.shape
    stacked = np.vstack([D, np.sqrt(s) * np.eye(k)])
    shift = np.full(k, -lambda_ / np.sqrt(s))
    gram = D.T @ D
    R = np.linalg.cholesky(gram + s * np.eye(k)).T

    def elastic_net(precompute):
        def solve(x):
            model = ElasticNet(alpha=(lambda_ + s) / m, l1_ratio=lambda_ / (lambda_ + s), positive=True,
                               fit_intercept=False, tol=1e-12, max_iter=100000, precompute=precompute)
            return model.fit(D, x).coef_
        return solve

    return {
        "nnls, stacked": lambda x: nnls(stacked, np.concatenate([x, shift]), maxiter=30 * k)[0],
        "nnls, factor": lambda x: nnls(R, solve_triangular(R, D.T @ x - lambda_, trans="T", check_finite=False),
                                       maxiter=30 * k)[0],
        "ElasticNet": elastic_net(False),
        "ElasticNet, Gram": elastic_net(gram),
    }


def ours(D, X, rounds):
    """Seconds a column of each round, by name, and the solutions."""
    m, k = D.shape
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/problem", "wb") as file:
            np.array([m, k, N], dtype=np.int64).tofile(file)
            np.array([alpha, beta, lambda_]).tofile(file)
            for matrix in (D, X):
                file.write(matrix.tobytes(order="F"))
        lines = subprocess.run([options.program, "solve", folder + "/problem", folder + "/solution",
                                str(options.threads), str(rounds)], check=True, capture_output=True, text=True).stdout
        solution = np.fromfile(folder + "/solution").reshape(2, N, k)
    seconds = {}
    for line in lines.splitlines():
        name, *numbers = line.split()
        seconds[name] = [float(number) / N for number in numbers[options.cpu_time::2]]  # wall, processor, ...
    return seconds, {"exact_prox": solution[0].T, "exact_synthesis": solution[1].T}


print(f"microseconds a column{' of processor time' if options.cpu_time else ''}, medians; ours with {options.threads} threads, N = {N}; peers one at a time")
for k in options.k:
    D, X = problem(k)
    methods = peers(D)
    seconds = {}
    U = {name: np.empty((k, N)) for name in methods}
    for turn in range(options.rounds):
        measured, solutions = ours(D, X, {32: 200, 128: 20}.get(k, 3))
        U.update(solutions)
        for name, values in measured.items():
            seconds.setdefault(name, []).extend(values)
        for name, method in methods.items():
            for j in [(turn * options.columns + c) % N for c in range(options.columns)]:
                start = clock()
                U[name][:, j] = method(X[:, j])
                seconds.setdefault(name, []).append(clock() - start)
    done = min(N, options.rounds * options.columns)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best = min((medians[name], name) for name in methods)
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        residual = natural_residual(D, X[:, :done], U[name][:, :done])
        difference = np.abs(U[name][:, :done] - U["exact_prox"][:, :done]).max()
        print(f"k = {k:3}  {name:17} {median * 1e6:10.2f}  natural residual {residual:.1e}  "
              f"differs from exact_prox by {difference:.1e}")
        if difference > 1e-8:
            sys.exit(f"compare_exact.py: {name} and exact_prox disagree")
        if name in solutions and residual > 1e-12:
            sys.exit(f"compare_exact.py: {name} has a natural residual of {residual}")
    print(f"k = {k:3}  exact_prox is {best[0] / medians['exact_prox']:.1f} x as fast as the best peer, {best[1]}; "
          f"exact_synthesis {best[0] / medians['exact_synthesis']:.1f} x", flush=True)
