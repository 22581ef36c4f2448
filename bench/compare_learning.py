# SPDX-License-Identifier: Apache-2.0
"""learn_dictionary beside SPAMS' trainDL and scikit-learn's MiniBatchDictionaryLearning, on patches of CIFAR-10, in one run.

    cmake --preset bench && cmake --build --preset bench --target bench_learning_bench
    python bench/compare_learning.py build/bench/bench/bench_learning_bench cifar-10-batches-bin

    mean_n min_{a >= 0}  1/2 |x_n - D a|^2 + lambda |a|_1     over held-out patches, |d_j| <= 1

10^5 grey 8 x 8 patches without their means and of unit norm, 256 atoms, lambda = .15, batches of 512, nonnegative codes, the
same number of passes for all. Each library draws its own first atoms and orders the samples by its seed; seconds are those of
learning alone, each with --threads threads. All dictionaries are judged by the same exact codes of 5,000 other patches, which
our program computes with alpha = 1e-6. What a library refuses is printed as its answer.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_learning_bench")
arguments.add_argument("data", help="the folder cifar-10-batches-bin")
arguments.add_argument("--seeds", type=int, default=3)
arguments.add_argument("--passes", type=int, default=1)
arguments.add_argument("--samples", type=int, default=100000)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--without", nargs="*", default=[], choices=["spams", "sklearn"])
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402, after the environment that it reads

side, atoms, lambda_, batch, alpha = 8, 256, .15, 512, 1e-6
warnings.filterwarnings("ignore")


def patches(count, files, seed):
    """A sample a row."""
    random = np.random.default_rng(seed)
    pixels = np.concatenate([np.fromfile(os.path.join(options.data, f), dtype=np.uint8) for f in files])
    images = pixels.reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32)
    grey = np.tensordot(images, np.array([.299, .587, .114]), axes=(1, 0)) / 255
    n = 2 * count
    places = zip(random.integers(len(grey), size=n), random.integers(33 - side, size=n),
                 random.integers(33 - side, size=n))
    x = np.stack([grey[i, y:y + side, z:z + side].ravel() for i, y, z in places])
    x -= x.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1)
    return np.ascontiguousarray((x / np.maximum(norms, 1e-3)[:, None])[norms > 1e-3][:count])


folder = tempfile.TemporaryDirectory()
train, test, learnt = (os.path.join(folder.name, name) for name in ("train", "test", "dictionary"))
X = patches(options.samples, [f"data_batch_{i}.bin" for i in range(1, 6)], 0)
X.tofile(train)
patches(5000, ["test_batch.bin"], 1).tofile(test)
program = [options.program, train, test, f"rows={side * side}", f"atoms={atoms}", f"lambda={lambda_}",
           f"alpha={alpha}", f"batch={batch}", f"threads={options.threads}"]


def judged(D):
    """The held-out objective of D: a column an atom."""
    np.ascontiguousarray(D.T, dtype=np.float64).tofile(learnt)
    out = subprocess.run(program + [f"judge={learnt}"], capture_output=True, text=True, check=True)
    return float(out.stdout)


def ours(seed, scalar):
    out = subprocess.run(program + [f"passes={options.passes}", f"seed={seed}", f"scalar={scalar}", f"dictionary={learnt}"],
                         capture_output=True, text=True, check=True)
    D = np.fromfile(learnt).reshape(atoms, side * side).T
    return float(out.stdout.splitlines()[-1].split()[1]), judged(D)


def spams(seed):
    import spams as library
    random = np.random.default_rng(seed)
    samples = np.asfortranarray(X[random.permutation(len(X))].T)
    steps = options.passes * -(-len(X) // batch)
    begin = time.perf_counter()
    D = library.trainDL(samples, K=atoms, lambda1=lambda_, posAlpha=True, mode=2, batchsize=batch, iter=steps,
                        numThreads=options.threads, verbose=False)
    return time.perf_counter() - begin, judged(D)


def sklearn(seed):
    from sklearn.decomposition import MiniBatchDictionaryLearning
    model = MiniBatchDictionaryLearning(n_components=atoms, alpha=lambda_, batch_size=batch, max_iter=options.passes,
                                        fit_algorithm="cd", positive_code=True, random_state=seed, n_jobs=1,
                                        max_no_improvement=None, tol=0)
    begin = time.perf_counter()
    model.fit(X)
    return time.perf_counter() - begin, judged(model.components_.T)


rivals = {"ours, double": lambda seed: ours(seed, "double"), "ours, float": lambda seed: ours(seed, "float")}
rivals |= {name: run for name, run in (("spams", spams), ("sklearn", sklearn)) if name not in options.without}
found = {name: [] for name in rivals}
for seed in range(options.seeds):  # by turns
    for name, run in rivals.items():
        try:
            found[name].append(run(seed))
        except (ImportError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{name}, seed {seed}: {error}{getattr(error, 'stderr', '')}", file=sys.stderr)
            continue
        print(f"{name}, seed {seed}: {found[name][-1][0]:.2f} s, objective {found[name][-1][1]:.5f}", flush=True)
print("\n| who | seconds, median | held-out objective, mean | least to largest |\n|---|---|---|---|")
for name, runs in found.items():
    if runs:
        values = [value for _, value in runs]
        print(f"| {name} | {statistics.median(s for s, _ in runs):.2f} | {statistics.mean(values):.5f} "
              f"| {min(values):.5f} to {max(values):.5f} |")
