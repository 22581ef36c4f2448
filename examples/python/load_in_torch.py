#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads a checkpoint of PlainNet-3, ResNet or their twins in PyTorch, and compares logits and gradients with ours.

    load_in_torch.py PROGRAM MODEL [--perturb]

PROGRAM is detrame-experiment, MODEL a model.safetensors. With --perturb, the parameters are first made random, so that
the comparison says something of a network that has just started. Images are drawn until no pre-activation of PyTorch's,
in double precision, is nearer to 0 than float rounds: else one side of a kink would be compared with the other. Prints the
largest relative differences, and ends with status 1 where one is 1e-4 or more. Needs torch, numpy and safetensors."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F


def kernel(W, size):
    """Our W, channels_out x (taps channels_in), as PyTorch's channels_out x channels_in x size x size."""
    return W.reshape(W.shape[0], size, size, -1).permute(0, 3, 1, 2)


class Network:
    """The network that the metadata describe, on parameters named as in the file."""

    def __init__(self, metadata, parameters):
        self.metadata, self.p = metadata, parameters
        self.T = int(metadata["T"])
        self.training, self.margin = False, np.inf

    def relu(self, z):
        self.margin = min(self.margin, float(z.detach().abs().min()))
        return F.relu(z)

    def convolution(self, name, x, size=3, stride=1):
        z = F.conv2d(x, kernel(self.p[name + ".W"], size), stride=stride, padding=(size - 1) // 2)
        return z - self.p[name + ".c"].reshape(1, -1, 1, 1) if name + ".c" in self.p else z  # the paper's sign

    def activation(self, name, z, size=3):
        """T updates U <- ReLU(h z + W~ (U - z) - b), from U = 0; ReLU where there are none."""
        if self.T == 0:
            return self.relu(z)
        W_tilde = kernel(self.p[name + ".W_tilde"], size)
        h, b = (self.p[name + end].reshape(1, -1, 1, 1) for end in (".h", ".b"))
        u = torch.zeros_like(z)
        for _ in range(self.T):
            u = self.relu(h * z + F.conv2d(u - z, W_tilde, padding=(size - 1) // 2) - b)
        return u

    def batch_norm(self, name, x):
        p = {key: self.p[f"{name}.{key}"].flatten() for key in ("running_mean", "running_variance", "gain", "offset")}
        mean, variance = p["running_mean"].clone(), p["running_variance"].clone()
        return F.batch_norm(x, mean, variance, p["gain"], p["offset"], training=self.training)

    def block(self, name, x, stride):
        f = self.convolution(name + ".branch.0", x, stride=stride)
        f = self.activation(name + ".branch.2", self.batch_norm(name + ".branch.1", f))
        f = self.batch_norm(name + ".branch.4", self.convolution(name + ".branch.3", f))
        g = x[:, :, ::stride, ::stride]
        g = F.pad(g, (0, 0, 0, 0, 0, f.shape[1] - g.shape[1]))
        return self.relu(g + f)

    def plain_net_3(self, x):
        for place, stride in ((1, 1), (3, 2), (5, 2)):
            x = self.activation(f"{place + 1}", self.convolution(f"{place}", x, stride=stride))
        return x.mean((2, 3))

    def res_net(self, x):
        n = (int(self.metadata["depth"]) - 2) // 6
        x = self.relu(self.batch_norm("1", self.convolution("0", x)))
        for i in range(n):
            x = self.block(f"3.{i}.0", x, 1)
        for stage in (4, 5):
            x = self.block(f"{stage}.0.0", x, 2)
            for i in range(n - 1):
                x = self.block(f"{stage}.1.{i}.0", x, 1)
        return x.mean((2, 3)) @ self.p["7.W"].T - self.p["7.c"].flatten()

    def __call__(self, x):
        family = self.metadata["network"].removeprefix("detrame-")
        if family == "plainnet" and self.metadata["depth"] == "3":
            return self.plain_net_3(x)
        if family == "resnet":
            return self.res_net(x)
        sys.exit(f"load_in_torch.py rebuilds plainnet of depth 3 and resnet, not {family} {self.metadata['depth']}")


def perturbed(name, value, random):
    """Something random that the parameter may be."""
    if name.endswith(("h", "running_variance", "gain")):
        return random.uniform(0.5, 1, value.shape).astype(np.float32)
    if name.endswith("W_tilde"):
        k, taps = value.shape[0], value.shape[1] // value.shape[0]
        value = random.normal(0, 0.3 / np.sqrt(value.shape[1]), value.shape).astype(np.float32)
        middle = (taps - 1) // 2 * k
        value[np.arange(k), middle + np.arange(k)] = 0
        return value
    if name.endswith(".W"):
        return random.normal(0, np.sqrt(2 / value.shape[1]), value.shape).astype(np.float32)
    value = random.normal(0, 0.1, value.shape).astype(np.float32)
    return np.abs(value) if name.endswith(".b") else value


def relative(a, b):
    """Largest difference, against the largest entry."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def cifar10(folder, name, count):
    """The first images of a file of CIFAR-10's binary version, pixels of [0, 1], and their labels."""
    rows = np.fromfile(Path(folder) / name, dtype=np.uint8).reshape(-1, 3073)[:count]
    x = torch.tensor(rows[:, 1:].reshape(-1, 3, 32, 32), dtype=torch.float32) / 255
    return x, torch.tensor(rows[:, 0], dtype=torch.int64)


def scaled(images, metadata):
    """Pixels as the network reads them."""
    x = torch.tensor(images, dtype=torch.float64)
    if not metadata["mean"]:
        return x
    mean, deviation = (torch.tensor([float(t) for t in metadata[key].split()], dtype=torch.float64).reshape(1, -1, 1, 1)
                       for key in ("mean", "deviation"))
    return (x - mean) / deviation


def draw(network, random):
    """The margin of some images, and they: of some draws those with the largest."""
    size = [4, *(int(network.metadata[key]) for key in ("channels", "height", "width"))]
    best = (0, None)
    for _ in range(40):
        images = random.uniform(0, 1, size).astype(np.float32)
        network.training, network.margin = True, np.inf
        with torch.no_grad():
            network(scaled(images, network.metadata))
        if network.margin > best[0]:
            best = (network.margin, images)
    return best


def main():
    program, model = sys.argv[1], Path(sys.argv[2])
    random = np.random.default_rng(1)
    with safe_open(model, "np") as file:
        metadata = file.metadata()
    arrays = load_file(model)
    with tempfile.TemporaryDirectory() as folder:
        if "--perturb" in sys.argv:
            arrays = {name: perturbed(name, value, random) for name, value in arrays.items()}
            model = Path(folder) / "perturbed.safetensors"
            save_file(arrays, model, metadata)
        parameters = {name: torch.tensor(value, dtype=torch.float64, requires_grad="running" not in name)
                      for name, value in arrays.items()}
        network = Network(metadata, parameters)
        margin, images = draw(network, random)
        labels = random.integers(0, int(metadata["classes"]), len(images))
        given = Path(folder) / "images.safetensors"
        save_file({"images": images, "labels": labels}, given)
        ours = {}
        for command in ("predict", "gradient"):
            output = Path(folder) / command
            subprocess.run([program, command, "--checkpoint", model, "--input", given, "--output", output], check=True,
                           stdout=subprocess.DEVNULL)
            ours[command] = load_file(output)

    x = scaled(images, metadata)
    network.training = False
    with torch.no_grad():
        logits = relative(ours["predict"]["logits"], network(x).numpy())
    network.training = True
    loss = F.cross_entropy(network(x), torch.tensor(labels))
    loss.backward()
    gradients = {name: relative(ours["gradient"][name], p.grad.numpy()) for name, p in parameters.items()
                 if p.requires_grad}
    worst = max(gradients, key=gradients.get)
    nonzero = sum(float(p.grad.abs().max()) > 0 for p in parameters.values() if p.requires_grad)
    print(f"{metadata['network']} {metadata['depth']}, T = {metadata['T']}: largest relative difference of the logits "
          f"{logits:.1e}, of the loss {relative(ours['gradient']['loss'], loss.detach().numpy()):.1e}, of the gradients "
          f"of {len(gradients)} parameters {gradients[worst]:.1e} ({worst})\n"
          f"  {nonzero} gradients are not zero; no pre-activation is nearer to 0 than {margin:.1e}")
    if not (logits < 1e-4 and gradients[worst] < 1e-4):
        sys.exit(1)


if __name__ == "__main__":
    main()
