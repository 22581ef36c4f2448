#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a PlainNet-3 or its twin with the dropout of its input left on.

    dropout_at_test.py MODEL CIFAR [--images N]

MODEL is a model.safetensors of detrame-experiment, CIFAR the folder cifar-10-batches-bin. PlainNets are trained with a fifth of
their input's entries dropped, and the others times 1.25, and have no batch normalisation: this shows how far what they have
learnt depends on it. Prints accuracy and loss on the first N test and training images (2,000) where shares of 0, .1, .2, .3 are
dropped, and that of scores which are means over ten draws of .2. Seed 0. Needs torch, numpy and safetensors."""

import argparse
from pathlib import Path

import torch
from safetensors import safe_open
from torch.nn import functional as F

from load_in_torch import Network, cifar10, scaled


def scores(network, x, rate):
    kept = x * (torch.rand_like(x) >= rate) / (1 - rate)
    return torch.cat([network(part) for part in kept.split(250)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    asked = parser.parse_args()
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    with safe_open(asked.model, "pt") as file:
        network = Network(file.metadata(), {name: file.get_tensor(name) for name in file.keys()})
    print("images     dropped  accuracy %    loss")
    for part, name in (("test", "test_batch.bin"), ("training", "data_batch_1.bin")):
        images, labels = cifar10(asked.cifar, name, asked.images)
        x = scaled(images.numpy(), network.metadata).float()
        for rate in (0, 0.1, 0.2, 0.3):
            y = scores(network, x, rate)
            print(f"{part:9}  {rate:7}  {100 * (y.argmax(1) == labels).double().mean():10.2f}  {F.cross_entropy(y, labels):6.4f}")
        y = sum(scores(network, x, 0.2) for _ in range(10)) / 10
        print(f"{part:9}  ten x .2 {100 * (y.argmax(1) == labels).double().mean():10.2f}  {F.cross_entropy(y, labels):6.4f}")


if __name__ == "__main__":
    main()
