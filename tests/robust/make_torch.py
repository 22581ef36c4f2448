#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/robust/torch.txt: what FGSM and PGD do to a small convolutional network in PyTorch, and a convex potential layer,
for torch_test.cpp.

    tests/robust/make_torch.py > tests/robust/torch.txt          needs PyTorch: pip install torch numpy

The network: a convolution 2 -> 4, 3 x 3, batch normalisation by running statistics, ReLU, the mean over sites, a linear map
4 -> 3. Entry i, row by row, of parameter n in the order of our names is ((7 i + 5 n) mod 17 - 8) / 8, of a gain or a
variance ((7 i + 5 n) mod 9 + 4) / 8; a bias is subtracted. Pixel c of column j, sites row by row, image by image, is
((11 c + 7 j + j // 20) mod 23 + 4) / 32. Quantities are named attack.scalar: the attacked images, channels x columns, and
gradient.scalar at the images. Numbers are hexadecimal: exact.

potential.scalar: x - 2/|W|^2 W^T ReLU(W x - d) (arXiv 2110.12690) of these images, W a convolution 2 -> 6, 2 x 2, stride 2, padding 1,
by its transpose D, 8 x 6, as parameter 0 and d as parameter 1. Its windows do not overlap: |W| = |D|, whose largest singular value
is far from the others. W^T is taken as the gradient of the potential.
"""

import torch
from torch.nn import functional as F

CHANNELS, HEIGHT, WIDTH, IMAGES = 2, 5, 4, 3
LABELS = torch.tensor([0, 2, 1])
SHAPES = {"0.W": (4, 18), "0.c": (4, 1), "1.gain": (4, 1), "1.offset": (4, 1), "1.running_mean": (4, 1),
          "1.running_variance": (4, 1), "4.W": (3, 4), "4.c": (3, 1)}


POTENTIAL = {"D": (8, 6), "d": (6, 1)}


def parameters(dtype, shapes):
    theta = {}
    for n, (name, (rows, cols)) in enumerate(shapes.items()):
        positive = name.endswith(("gain", "variance"))
        entries = [((7 * i + 5 * n) % 9 + 4) / 8 if positive else ((7 * i + 5 * n) % 17 - 8) / 8
                   for i in range(rows * cols)]
        theta[name] = torch.tensor(entries, dtype=dtype).reshape(rows, cols)
    return theta


def images(dtype):
    sites = HEIGHT * WIDTH
    entries = [[((11 * c + 7 * j + j // sites) % 23 + 4) / 32 for j in range(sites * IMAGES)] for c in range(CHANNELS)]
    return torch.tensor(entries, dtype=dtype).reshape(CHANNELS, IMAGES, HEIGHT, WIDTH).transpose(0, 1).contiguous()


def scores(p, x):
    kernel = p["0.W"].reshape(4, 3, 3, CHANNELS).permute(0, 3, 1, 2)
    z = F.conv2d(x, kernel, padding=1) - p["0.c"].reshape(1, -1, 1, 1)
    z = F.batch_norm(z, *(p["1." + key].flatten() for key in ("running_mean", "running_variance", "gain", "offset")))
    return F.relu(z).mean((2, 3)) @ p["4.W"].T - p["4.c"].flatten()


def gradient(p, x):
    x = x.detach().requires_grad_()
    loss = F.cross_entropy(scores(p, x), LABELS, reduction="sum")
    return torch.autograd.grad(loss, x)[0]


def norms(v):
    return v.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)


def pgd(p, x_0, norm, epsilon, step, steps):
    x = x_0.clone()
    for _ in range(steps):
        g = gradient(p, x)
        if norm == "l_inf":
            x = torch.clamp(x + step * g.sign(), x_0 - epsilon, x_0 + epsilon)
        else:
            v = x + step * g / norms(g) - x_0
            x = x_0 + v * torch.clamp(epsilon / norms(v), max=1)
        x = x.clamp(0, 1)
    return x


def potential_layer(p, x):
    kernel = p["D"].T.reshape(6, 2, 2, CHANNELS).permute(0, 3, 1, 2)
    largest, second = torch.linalg.svdvals(p["D"])[:2]
    assert second < 0.9 * largest
    x = x.detach().requires_grad_()
    code = F.relu(F.conv2d(x, kernel, stride=2, padding=1) - p["d"].reshape(1, -1, 1, 1))
    assert 0.2 < (code > 0).double().mean() < 0.8
    return x.detach() - 2 / largest**2 * torch.autograd.grad(code.square().sum() / 2, x)[0]


def write(name, x):
    columns = x.transpose(0, 1).reshape(CHANNELS, -1)
    print(name, *columns.shape)
    for row in columns.tolist():
        print(*(float(entry).hex() for entry in row))


def main():
    print("# SPDX-License-Identifier: Apache-2.0")
    print(f"# by tests/robust/make_torch.py with PyTorch {torch.__version__.split('+')[0]}")
    for dtype, scalar in ((torch.float64, "double"), (torch.float32, "float")):
        p, x = parameters(dtype, SHAPES), images(dtype)
        write(f"gradient.{scalar}", gradient(p, x))
        write(f"fgsm.{scalar}", pgd(p, x, "l_inf", 0.25, 0.25, 1))
        write(f"fgm.{scalar}", pgd(p, x, "l2", 0.75, 0.75, 1))
        write(f"pgd_l_inf.{scalar}", pgd(p, x, "l_inf", 0.25, 0.0625, 10))
        write(f"pgd_l2.{scalar}", pgd(p, x, "l2", 0.75, 0.25, 10))
        write(f"potential.{scalar}", potential_layer(parameters(dtype, POTENTIAL), x))


if __name__ == "__main__":
    main()
