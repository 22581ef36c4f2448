# SPDX-License-Identifier: Apache-2.0
"""Networks that certify by other layers, trained for the processor time that one of ours took.

    cmake --preset bench && cmake --build --preset bench --target bench_norm_bench
    pip install --no-deps deel-torchlip orthogonium; pip install torch numpy safetensors
    python bench/compare_certified.py build/bench/bench/bench_norm_bench mnist FOLDER --seconds 3600 [--peers aoc cpl]

FOLDER holds MNIST's four idx files, not compressed, or, with cifar10, the binary version of CIFAR-10. Peers:

    deel     deel-torchlip: SpectralConv2d (kernels orthogonal as matrices, over 3), GroupSort2
    aoc      orthogonium: AdaptiveOrthoConv2d (orthogonal convolutions on tori), MaxMin
    cpl      convex potential layers by the formula of arXiv 2110.12690, x - 2/|W|^2 W^T ReLU(W x + b); |W| by a step of power
             iteration a training step
    relu     convolutions over their norms, found in the same way, and ReLU

All have the shape of CertifiedNet2 (28 x 28) or CertifiedNet3 (32 x 32): pixels unshuffled, channels padded with zeros to
--width, four layers of 3 x 3; unshuffled again, four more; of 32 x 32 once more, and one of 1 x 1, of cpl two with half as many atoms as
channels; a head of unit rows. What is equal: loss, offset and temperature, batches of 128, centred images, of CIFAR-10 crops and
flips, AdamW without decay, the rate --lr by half a cosine after a warm-up. The rate is a function of the share of the budget that
is spent, so that a run ends with it, whatever else the machine does. It is processor time, of all threads, in training steps
alone: neither reading nor testing counts.

Certified: the accuracy within balls by min_j (y_i - y_j) / (L |w_i - w_j|), from the scores as computed, their rounding not
charged. L is no peer's claim: it is the product of the upper bounds that bench_norm_bench has for the kernels that the test itself
applies. For cpl the test takes 2/u^2 with the upper bound u of |W|, so that L = 1. Upper bounds hold for images of every size,
lower ones, of power iteration in double, for those of the layer. The second line has L of lower bounds: more than it no sharper
bounds of the same kernels could prove.
"""
import argparse
import importlib.metadata
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("program", help="bench_norm_bench")
arguments.add_argument("dataset", choices=["mnist", "cifar10"])
arguments.add_argument("data", type=Path)
arguments.add_argument("--peers", nargs="+", default=["deel", "aoc", "cpl", "relu"], choices=["deel", "aoc", "cpl", "relu"])
arguments.add_argument("--seconds", type=float, default=60, help="processor time of training")
arguments.add_argument("--width", type=int, default=16, help="channels of the first layers; of --widen 2, 32")
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--seed", type=int, default=1)
arguments.add_argument("--lr", type=float, default=2e-3)
arguments.add_argument("--warm-up", type=float, default=.02, help="share of the budget, from a tenth of the rate")
arguments.add_argument("--fineness", type=int, default=128, help="of the bounds: 128 is .1 %% above the supremum, 16 4 %%")
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402, after the environment that it reads
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from torch import nn  # noqa: E402

BATCH = 128
mnist = options.dataset == "mnist"
edge, inputs, width = (28, 1, options.width) if mnist else (32, 3, options.width)
radii = [.3, 1., 1.58] if mnist else [36 / 255, 72 / 255, 108 / 255]
offset, temperature = 2 * math.sqrt(2) * (1.58 if mnist else 36 / 255), .25


def middle_orthogonal(out, channels, size):
    """Orthogonal in the middle of the window, 0 elsewhere: what our networks start with."""
    kernel = torch.zeros(out, channels, size, size)
    nn.init.orthogonal_(kernel[:, :, size // 2, size // 2])
    return nn.Parameter(kernel)


class WithNorm(nn.Module):
    """A kernel, and its norm on images of one size by power iteration from the vector before."""

    def __init__(self, out, channels, size, image):
        super().__init__()
        self.weight, self.bias = middle_orthogonal(out, channels, size), nn.Parameter(torch.zeros(out))
        self.padding = size // 2
        self.register_buffer("v", F.normalize(torch.randn(1, channels, image, image).flatten(1)).view(1, channels, image, image))
        self.iterate(20)

    @torch.no_grad()
    def iterate(self, count):
        for _ in range(count):
            w = F.conv2d(self.v, self.weight, padding=self.padding)
            self.v = F.conv_transpose2d(w, self.weight, padding=self.padding)
            self.v /= self.v.norm()

    def norm(self):
        """Differentiable in the kernel, not in the vector."""
        if self.training:
            self.iterate(1)
        return F.conv2d(self.v, self.weight, padding=self.padding).norm()


class Potential(WithNorm):
    def forward(self, x):
        code = F.relu(F.conv2d(x, self.weight, self.bias, padding=self.padding))
        return x - 2 / self.norm()**2 * F.conv_transpose2d(code, self.weight, padding=self.padding)


class OverNorm(WithNorm):
    def kernel(self):
        return self.weight / self.norm()

    def forward(self, x):
        return F.conv2d(x, self.kernel(), self.bias, padding=self.padding)


class PadChannels(nn.Module):
    def forward(self, x):
        return F.pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))


class UnitRows(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(nn.init.orthogonal_(torch.empty(10, channels))), nn.Parameter(torch.zeros(10))

    def forward(self, x):
        return F.linear(x, F.normalize(self.weight), self.bias)


def layer(peer, channels, size, image):
    """The modules of a layer that keeps channels and sites."""
    if peer == "deel":
        from deel import torchlip
        return [torchlip.SpectralConv2d(channels, channels, size, padding=size // 2), torchlip.GroupSort2()]
    if peer == "aoc":
        from orthogonium.layers.conv.AOC import AdaptiveOrthoConv2d
        from orthogonium.layers.custom_activations import MaxMin
        return [AdaptiveOrthoConv2d(channels, channels, size), MaxMin()]
    if peer == "cpl":
        return [Potential(channels if size > 1 else channels // 2, channels, size, image)]
    return [OverNorm(channels, channels, size, image), nn.ReLU()]


def network(peer):
    modules, channels, image = [], inputs, edge
    for number in range(2 if mnist else 3):
        channels, image = width if number == 0 else 4 * channels, image // 2
        modules += [nn.PixelUnshuffle(2)] + [PadChannels()] * (number == 0)
        for _ in range(4 if number < 2 else 2 if peer == "cpl" else 1):
            modules += layer(peer, channels, 3 if number < 2 else 1, image)
    return nn.Sequential(*modules, nn.Flatten(), UnitRows(channels * image**2))


def read(train):
    """Bytes and labels."""
    if mnist:
        name = "train" if train else "t10k"
        pixels = np.fromfile(options.data / f"{name}-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 1, 28, 28)
        labels = np.fromfile(options.data / f"{name}-labels-idx1-ubyte", dtype=np.uint8)[8:]
    else:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        rows = np.concatenate([np.fromfile(options.data / name, dtype=np.uint8) for name in names]).reshape(-1, 3073)
        pixels, labels = rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64))


def varied(x):
    """A crop of each image in a border of four zeros, every other one flipped."""
    n = len(x)
    span, border = torch.arange(edge), F.pad(x, (4, 4, 4, 4))
    rows, columns = (torch.randint(9, (n, 1)) + span for _ in range(2))
    columns = torch.where(torch.rand(n, 1) < .5, columns, columns.flip(1))
    return border[torch.arange(n).view(n, 1, 1, 1), torch.arange(inputs).view(-1, 1, 1), rows.view(n, 1, edge, 1),
                  columns.view(n, 1, 1, edge)]


def batches(x, mean):
    while True:
        for chosen in torch.randperm(len(x)).split(BATCH):
            images = x[chosen].float() / 255 - mean
            yield chosen, images if mnist else varied(images)


def train(net, x, labels, mean):
    """The number of steps, and the seconds that they took."""
    net.train()
    sgd = torch.optim.AdamW(net.parameters(), lr=options.lr, weight_decay=0)
    source, steps, losses, told = batches(x, mean), 0, [], 0

    def step(rate):
        sgd.param_groups[0]["lr"] = rate
        chosen, images = next(source)
        y = labels[chosen]
        loss = temperature * F.cross_entropy((net(images) - offset * F.one_hot(y, 10)) / temperature, y)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(float(loss.detach()))

    step(0)  # what is made once: no change of parameters, and none of the clock's time
    start = time.process_time()
    while (spent := (time.process_time() - start) / options.seconds) < 1:
        warm = min(1., .1 + .9 * spent / options.warm_up) if options.warm_up else 1
        step(options.lr * warm * (1 + math.cos(math.pi * spent)) / 2)
        steps += 1
        if int(10 * spent) > told:
            told = int(10 * spent)
            print(f"    {10 * told} % of the time: step {steps}, loss {np.mean(losses[-100:]):.4f}", flush=True)
    return steps, time.process_time() - start


class Frozen(nn.Module):
    """A trained layer as the plain kernel that stands in it."""

    def __init__(self, module):
        super().__init__()
        if isinstance(module, WithNorm):
            module.iterate(200)
        self.weight = (module.kernel() if isinstance(module, OverNorm) else module.weight).detach().clone()
        self.bias = module.bias.detach().clone()
        self.circular, self.potential = getattr(module, "padding_mode", "zeros") == "circular", isinstance(module, Potential)
        self.own_norm = float(module.norm()) if self.potential else 1.

    def forward(self, x):
        pad = self.weight.shape[-1] // 2
        seen = F.pad(x, (pad,) * 4, mode="circular") if self.circular and pad else F.pad(x, (pad,) * 4)
        z = F.conv2d(seen, self.weight, self.bias)
        return x - 2 / self.own_norm**2 * F.conv_transpose2d(F.relu(z), self.weight, padding=pad) if self.potential else z


def freeze(net, sample):
    """The network of plain kernels: it must be the one that was trained. Each kernel's image size with it."""
    net.train()
    with torch.no_grad():
        net(sample)  # some layers keep what the last step made of its parameters
    net.eval()
    with torch.no_grad():
        plain = nn.Sequential(*(Frozen(module) if hasattr(module, "weight") and not isinstance(module, UnitRows) else module
                                for module in net)).eval()
        difference, scores = (plain(sample) - net(sample)).abs().max(), net(sample).abs().max()
    if not difference <= 1e-4 * scores:
        sys.exit(f"compare_certified.py: the plain kernels are not the network: {difference} of {scores}")
    return plain


def bounds(plain, sample):
    """(lower, upper) of each kernel's norm, in their order."""
    tensors, metadata, x = {}, {}, sample
    for module in plain:
        if isinstance(module, Frozen):
            name = f"{len(tensors):03}"
            kernel = module.weight.double().permute(0, 2, 3, 1)
            tensors[name] = kernel.reshape(len(kernel), -1).contiguous().numpy()
            metadata[name] = f"{x.shape[2]} {x.shape[3]} {kernel.shape[1]} {'circular' if module.circular else 'zeros'}"
        with torch.no_grad():
            x = module(x)
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, folder + "/kernels.safetensors", metadata)
        out = subprocess.run([options.program, "bounds", folder + "/kernels.safetensors", str(options.fineness)], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    return [tuple(map(float, line.split()[1:])) for line in out.splitlines()]


@torch.no_grad()
def radii_of(plain, L, x, labels, mean):
    """Of each image the radius that is certified, < 0 where its label is wrong."""
    rows = F.normalize(plain[-1].weight.double())
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    found = []
    for chosen in torch.arange(len(x)).split(500):
        scores, y = plain(x[chosen].float() / 255 - mean).double(), labels[chosen]
        ratios = (scores.gather(1, y[:, None]) - scores) / (L * apart[y])
        found.append(ratios.scatter(1, y[:, None], math.inf).min(1).values)
    return torch.cat(found)


def compare(peer):
    torch.manual_seed(options.seed)
    net = network(peer)
    count = sum(p.numel() for p in net.parameters())
    package = {"deel": "deel-torchlip", "aoc": "orthogonium"}.get(peer)
    print(f"{peer}: {package + ' ' + importlib.metadata.version(package) + ', ' if package else ''}{count} parameters", flush=True)
    if count >= 1e6:
        sys.exit("compare_certified.py: more than a million parameters")
    steps, seconds = train(net, x_train, y_train, mean)
    plain = freeze(net, x_test[:64].float() / 255 - mean)
    found = bounds(plain, x_test[:1].float() / 255 - mean)
    L = least = 1.
    for module, (lower, upper) in zip((m for m in plain if isinstance(m, Frozen)), found):
        own = f", its own estimate {module.own_norm:.6f}" if module.potential else ""
        print(f"    {lower:.6f} <= |W| <= {upper:.6f}{own}")
        if not 0 < lower <= upper:
            sys.exit("compare_certified.py: bounds that are none")
        if module.potential:
            module.own_norm = upper
        else:
            L, least = L * upper, least * lower
    r = radii_of(plain, L, x_test, y_test, mean)

    def shares(constant):
        return "".join(f"{100 * float((r * L / constant > radius).float().mean()):8.2f}" for radius in [0.] + radii)

    epochs = steps * BATCH / len(x_train)
    print(f"{peer:6}{seconds:8.0f} s {steps:7} steps {epochs:7.2f} epochs   L {L:.4f}{shares(L)}")
    if least < L:
        print(f"{'no product of norms proves more than':48}L {least:.4f}{shares(least)}")
    sys.stdout.flush()


torch.set_num_threads(options.threads)
(x_train, y_train), (x_test, y_test) = read(True), read(False)
mean = torch.stack([x_train[:, c].double().mean() / 255 for c in range(inputs)]).float().view(-1, 1, 1)
print(f"PyTorch {torch.__version__}, {options.threads} thread(s), {options.seconds:g} s of processor time, seed {options.seed}; "
      f"clean accuracy and certified at {', '.join(f'{radius:.3g}' for radius in radii)}, %")
for peer in options.peers:
    compare(peer)
