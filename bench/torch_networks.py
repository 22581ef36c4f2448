# SPDX-License-Identifier: Apache-2.0
"""The networks of train_bench in PyTorch: a step of their training, and what memory it takes.

    torch_networks.py LAYER NETWORK N THREADS MODE DEVICE   LAYER train or predict, MODE one of MODES, DEVICE cpu or cuda

prints by how many MB (1e6 bytes) this process grew at most over two calls, beyond what it held when PyTorch was imported and
had taken a step of a network of one channel, which loads more of it; on cuda, what PyTorch took of the card's memory at most.
"""
import contextlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

MODES = ["eager", "last", "in place", "compile", "nnpack"]
PLAIN_3 = [(96, 3, 1, 0), (96, 3, 2, 0), (10, 3, 2, 0)]  # channels, kernel, stride, dropout behind the activation
PLAIN_9 = [(96, 3, 1, 0), (96, 3, 1, 0), (96, 3, 2, .5), (192, 3, 1, 0), (192, 3, 1, 0), (192, 3, 2, .5), (192, 3, 1, 0),
           (192, 1, 1, 0), (10, 1, 1, 0)]


class QMetricReLU(nn.Module):
    """T updates U <- ReLU(h z + W~ (U - z) - b) from U = 0; what does not change, h z - W~ z - b, is formed once."""

    def __init__(self, channels, size, T, in_place):
        super().__init__()
        deviation = .3 / (size * channels**.5)
        self.W_tilde = nn.Parameter(deviation * torch.randn(channels, channels, size, size))
        self.h = nn.Parameter(torch.ones(channels, 1, 1))
        self.b = nn.Parameter(torch.zeros(channels))
        self.padding, self.T, self.in_place = size // 2, T, in_place
        self.project()

    def forward(self, z):
        g = torch.addcmul(F.conv2d(z, -self.W_tilde, -self.b, padding=self.padding), self.h, z)
        u = F.relu(g)
        for _ in range(self.T - 1):
            v = F.conv2d(u, self.W_tilde, padding=self.padding)
            u = v.add_(g).relu_() if self.in_place else F.relu(v + g)
        return u

    @torch.no_grad()
    def project(self):
        middle = self.padding
        self.W_tilde[:, :, middle, middle].diagonal().zero_()
        self.h.clamp_(0, 1)
        self.b.clamp_(min=0)


def activation(channels, size, T, in_place):
    return QMetricReLU(channels, size, T, in_place) if T else nn.ReLU(in_place)


def plain_net(table, T, in_place):
    layers, before = [nn.Dropout(.2)], 3
    for channels, size, stride, rate in table:
        layers += [nn.Conv2d(before, channels, size, stride, size // 2), activation(channels, size, T, in_place)]
        layers += [nn.Dropout(rate)] if rate else []
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Block(nn.Module):
    """ReLU(x + f(x)), f = conv, BN, activation, conv, BN; x is subsampled and padded where the shape changes."""

    def __init__(self, before, channels, stride, T, in_place):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels),
            activation(channels, 3, T, in_place),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        self.stride, self.more, self.in_place = stride, channels - before, in_place

    def forward(self, x):
        f = self.branch(x)
        if self.stride > 1:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.more))
        return f.add_(x).relu_() if self.in_place else F.relu(f + x)


def res_net_8(T, in_place):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(in_place), Block(16, 16, 1, T, in_place),
        Block(16, 32, 2, T, in_place), Block(32, 64, 2, T, in_place), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {
    "plain3": lambda in_place: plain_net(PLAIN_3, 0, in_place),
    "detrame3_T5": lambda in_place: plain_net(PLAIN_3, 5, in_place),
    "plain9": lambda in_place: plain_net(PLAIN_9, 0, in_place),
    "detrame9_T2": lambda in_place: plain_net(PLAIN_9, 2, in_place),
    "resnet8": lambda in_place: res_net_8(0, in_place),
    "detrame_resnet8_T3": lambda in_place: res_net_8(3, in_place),
}


def step(net, run, sgd, x, labels):
    """One step of Algorithm 2; `run` is net, or net compiled. Returns the loss before it."""
    sgd.zero_grad()
    loss = F.cross_entropy(run(x), labels)
    loss.backward()
    sgd.step()
    for module in net.modules():
        if isinstance(module, QMetricReLU):
            module.project()
    return loss.detach()


def float_on_cuda():
    """Full float, not TF32, and the fastest algorithm of each convolution."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


def onednn(enabled, device):
    """Convolutions of the CPU by oneDNN or NNPACK."""
    return torch.backends.mkldnn.flags(enabled=enabled) if device == "cpu" else contextlib.nullcontext()


def optimiser(net):
    return torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=5e-4, fused=True)


def job(layer, name, N, mode, device):
    """A call that does the work once."""
    torch.manual_seed(0)
    layout = torch.channels_last if mode in ("last", "in place", "compile") else torch.contiguous_format
    net = NETWORKS[name](mode == "in place").to(device, memory_format=layout)
    x = torch.rand(N, 3, 32, 32).mul_(2).sub_(1).to(device, memory_format=layout)
    labels = torch.randint(10, (N,)).to(device)
    sgd = optimiser(net)
    net.train(layer == "train")
    run = torch.compile(net) if mode == "compile" else net

    def train():
        with onednn(mode != "nnpack", device):
            step(net, run, sgd, x, labels)

    def predict():
        with torch.inference_mode(), onednn(mode != "nnpack", device):
            run(x)

    return train if layer == "train" else predict


@torch.no_grad()
def load(net, numbers):
    """Gives net the parameters of our network, in the order in which `visit` walks; returns the numbers that are left."""
    def take(tensor, sign=1):
        nonlocal numbers
        part, numbers = numbers[:tensor.numel()], numbers[tensor.numel():]
        if tensor.dim() == 4:  # ours: channels_out x (taps channels_in), by columns
            out, channels, height, width = tensor.shape
            part = part.reshape(height, width, channels, out).permute(3, 2, 0, 1)
        elif tensor.dim() == 2:
            part = part.reshape(tensor.shape[::-1]).t()
        tensor.copy_(sign * part.reshape(tensor.shape))

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            take(module.weight)
            if module.bias is not None:
                take(module.bias, -1)  # z = W x - c
        elif isinstance(module, QMetricReLU):
            take(module.W_tilde), take(module.h), take(module.b)
        elif isinstance(module, nn.BatchNorm2d):
            take(module.weight), take(module.bias), take(module.running_mean), take(module.running_var)
    return numbers


def losses(name, numbers, N, count, device):
    """The losses of `count` steps that drop nothing, from our parameters, on our images and labels."""
    net = NETWORKS[name](False)
    numbers = load(net, numbers)
    net.to(device)
    x = numbers[:-N].reshape(N, 32, 32, 3).permute(0, 3, 1, 2).to(device)
    labels = numbers[-N:].long().to(device)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    sgd = optimiser(net)
    return [float(step(net, net, sgd, x, labels)) for _ in range(count)]


def parameter_count(name):
    return sum(p.numel() for p in NETWORKS[name](False).parameters())


def status_MB(line):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(words.split()[1]) * 1024e-6 for words in status if words.startswith(line))


def main():
    layer, name, N, threads, mode, device = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if device == "cuda":
        float_on_cuda()
        work = job(layer, name, int(N), mode, device)
        work(), work()
        print(torch.cuda.max_memory_reserved() * 1e-6)
        return
    tiny = nn.Conv2d(1, 1, 1)
    step(tiny, nn.Sequential(tiny, nn.Flatten()), optimiser(tiny), torch.ones(1, 1, 1, 1), torch.zeros(1, dtype=torch.long))
    with open("/proc/self/clear_refs", "w", encoding="ascii") as reset:
        reset.write("5")  # VmHWM begins anew: the import was larger than what it left
    before = status_MB("VmRSS:")
    work = job(layer, name, int(N), mode, device)
    work(), work()
    print(status_MB("VmHWM:") - before)


if __name__ == "__main__":
    main()
