# SPDX-License-Identifier: Apache-2.0
"""The Q-metric ReLU and whole networks beside PyTorch, in one run: medians of rounds taken by turns, and their ratios.

    cmake --preset bench && cmake --build --preset bench
    python bench/compare_pytorch.py build/bench/bench
    python bench/compare_pytorch.py build/bench/bench --layers train predict --nets resnet8 detrame_resnet8_T3

    cmake --workflow --preset cuda-bench
    python bench/compare_pytorch.py build/cuda-bench/bench --device cuda

PyTorch's figure is, in each round, the best of its modes. Dense: eager with samples in rows, eager with samples in columns, in
place (forward alone), torch.compile. Convolutional: eager, channels_last, channels_last in place (forward alone), torch.compile on
channels_last, NNPACK (oneDNN off). Networks: the same modes, in place where autograd allows it, and NNPACK for those that take less
than seconds a step. A ratio above 1 says that this library is faster. Absolute times drift on shared machines; ratios of one
run are what counts, and `peak` says what share of the measured FMA peak this library reached. For networks it first checks that both sides
have as many parameters, and the same losses over a few steps from the same ones. `MB` is then by how much a process of its own grew at
most in the same work: PyTorch's in the fastest mode other than torch.compile, whose compiler would be counted, and ours. Predictions are also given
to ONNX Runtime, if onnxruntime and onnxscript are installed: as PyTorch exports them, with as many threads, after a check that the scores agree.

With --device cuda both sides work on one card, in float without TF32 (torch.backends.cuda.matmul.allow_tf32 and
torch.backends.cudnn.allow_tf32 are False), PyTorch with cudnn.benchmark, which tries the algorithms of its convolutions. Times are
those of CUDA events around a row of calls, after which the host waits. There are no threads, no processor time, no NNPACK and no ONNX
Runtime; `peak` is the share of what the card's clock and multiprocessors allow, and `MB` what each side takes of the card's memory
beside the CUDA context. Ours reads the loss of a training step to the host, PyTorch's does not. Not yet run on a card.
"""
import argparse
import io
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

NETS = ["plain3", "detrame3_T5", "plain9", "detrame9_T2", "resnet8", "detrame_resnet8_T3"]
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("folder", help="where bench_dense_bench, bench_conv_bench and bench_train_bench are, or bench_cuda_...")
arguments.add_argument("--layers", nargs="*", choices=["dense", "conv", "train", "predict"], default=["dense", "conv"])
arguments.add_argument("--nets", nargs="*", choices=NETS, default=NETS, help="networks of train and predict")
arguments.add_argument("--rounds", type=int, default=7)
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--threads", type=int, nargs="*", help="of the CPU; 1 and 2 where not given")
arguments.add_argument("--k", type=int, nargs="*", default=[64, 256, 1024], help="dense sizes")
arguments.add_argument("--T", type=int, nargs="*", default=[5, 20], help="updates of dense layers")
arguments.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
arguments.add_argument("--cpu-time", action="store_true",
                       help="processor time instead of wall time, for a machine busy with other work; 1 thread alone")
options = arguments.parse_args()
on_cuda = options.device == "cuda"
if on_cuda and (options.threads is not None or options.cpu_time):
    sys.exit("compare_pytorch.py: --threads and --cpu-time are for the CPU, not for --device cuda")
if options.threads is None:
    options.threads = [1, 2]
if options.cpu_time:
    options.threads = [1]
clock = time.process_time if options.cpu_time else time.perf_counter

try:
    import torch
    import torch.nn.functional as F
    import torch_networks
except ImportError:
    sys.exit("compare_pytorch.py: no PyTorch here, nothing to compare with")
try:
    import onnxruntime
    import onnxscript  # noqa: F401, which torch.onnx.export needs
except ImportError:
    onnxruntime = None
if on_cuda:
    onnxruntime = None
    if not torch.cuda.is_available():
        sys.exit(f"compare_pytorch.py: PyTorch {torch.__version__} finds no CUDA device here, nothing to compare on")
    torch_networks.float_on_cuda()
warnings.filterwarnings("ignore", message="TF32 acceleration")  # of oneDNN's flags, on machines without Intel GPU

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


def pytorch_jobs(k, T, pullback, device):
    """name -> a call that does the work once."""
    torch.manual_seed(0)
    W = (.5 / k**.5 * (2 * torch.rand(k, k) - 1)).to(device).requires_grad_(pullback)
    x = torch.rand(N, k).mul_(2).sub_(1).to(device)
    jobs = {}

    def add(name, function, x, W, shape):
        x = x.clone().requires_grad_(pullback)
        h = torch.full(shape, .9, device=device, requires_grad=pullback)
        b = torch.full(shape, .01, device=device, requires_grad=pullback)

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


CONVOLUTIONS = [(96, 32, 2), (96, 32, 5), (192, 16, 2), (16, 32, 3), (64, 8, 3)]  # channels, edge, T


def convolution(x, W, h, b, T):
    g = h * x - F.conv2d(x, W, padding=1) - b
    u = F.relu(g)
    for _ in range(T - 1):
        u = F.relu(F.conv2d(u, W, padding=1) + g)
    return u


def convolution_in_place(x, W, h, b, T):
    g = (h * x).sub_(F.conv2d(x, W, b.flatten(), padding=1))
    u = F.relu(g)
    for _ in range(T - 1):
        u = F.conv2d(u, W, padding=1).add_(g).relu_()
    return u


def convolution_jobs(C, edge, T, pullback, device):
    torch.manual_seed(0)
    W = (.5 / (3 * C**.5) * (2 * torch.rand(C, C, 3, 3) - 1)).to(device)
    x = torch.rand(64, C, edge, edge).mul_(2).sub_(1).to(device)
    jobs = {}

    def add(name, function, last, onednn=True):
        layout = torch.channels_last if last else torch.contiguous_format
        xx = x.clone(memory_format=layout).requires_grad_(pullback)
        WW = W.clone(memory_format=layout).requires_grad_(pullback)
        h = torch.full((1, C, 1, 1), .9, device=device, requires_grad=pullback)
        b = torch.full((1, C, 1, 1), .01, device=device, requires_grad=pullback)

        def forward():
            with torch.no_grad(), torch_networks.onednn(onednn, device):
                function(xx, WW, h, b, T)

        def both():
            with torch_networks.onednn(onednn, device):
                for parameter in (xx, WW, h, b):
                    parameter.grad = None
                y = function(xx, WW, h, b, T)
                y.backward(torch.ones_like(y))

        jobs[name] = both if pullback else forward

    add("eager", convolution, False)
    add("last", convolution, True)
    if not pullback:
        add("in place", convolution_in_place, True)
    if not options.no_compile:
        torch._dynamo.reset()
        add("compile", torch.compile(convolution), True)
    if device == "cpu":
        add("nnpack", convolution, False, onednn=False)
    for job in jobs.values():
        job(), job()
    return jobs


def network_jobs(layer, name, images, device):
    """As above; each job is called once, which may take many seconds."""
    slow = layer == "train" and name in ("plain9", "detrame9_T2")
    left_out = ["compile"] * options.no_compile + ["nnpack"] * (slow or device != "cpu")
    jobs = {}
    torch._dynamo.reset()
    for mode in torch_networks.MODES:
        if mode not in left_out:
            jobs[mode] = torch_networks.job(layer, name, images, mode, device)
            jobs[mode]()
    return jobs


def onnx_runtime_job(name, images, threads):
    """A prediction by ONNX Runtime; ends the program where its scores are not PyTorch's."""
    torch.manual_seed(0)
    net = torch_networks.NETWORKS[name](False).eval()
    x = torch.rand(images, 3, 32, 32).mul_(2).sub_(1)
    model = io.BytesIO()
    torch.onnx.export(net, (x,), dynamo=True, verbose=False).save(model)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.getvalue(), settings, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x.numpy()}
    with torch.inference_mode():
        scores = net(x)
    difference = (torch.from_numpy(session.run(None, given)[0]) - scores).abs().max() / scores.abs().max()
    if not difference < 1e-4:
        sys.exit(f"compare_pytorch.py: the scores of {name} in ONNX Runtime differ from PyTorch's by {difference:.1e}")
    return lambda: session.run(None, given)


def require_agreement(name, images=4):
    """Ends the program unless both sides have as many parameters and, from the same, the same losses."""
    steps = 3 if "9" in name else 6  # PlainNet-9 and its twin learn fast from the fifth step on, which turns rounding into 1e-4
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "problem")
        output = subprocess.run([program("train"), "steps", name, path, str(images), str(steps)], check=True, capture_output=True,
                                text=True, env=environment).stdout
        with open(path, "rb") as file:
            content = file.read()
    count = int.from_bytes(content[:8], sys.byteorder)
    numbers = torch.frombuffer(bytearray(content[8:]), dtype=torch.float32)
    theirs, mine = torch_networks.losses(name, numbers, images, steps, options.device), [float(loss) for loss in output.split()]
    difference = max(abs(a - b) / b for a, b in zip(theirs, mine, strict=True))
    their_count = torch_networks.parameter_count(name)
    if their_count != count or not difference < 1e-5:
        sys.exit(f"compare_pytorch.py: {name} is not the same network on both sides: {their_count} parameters in PyTorch, "
                 f"{count} here; losses {theirs} and {mine}")
    print(f"{name}: {count} parameters; the losses of {steps} steps from the same ones agree to {difference:.1e}", flush=True)


def seconds_on_device(job, least):
    """The same between two events; the host launches a call while the device works on the one before."""
    def all_of(count):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(count):
            job()
        end.record()
        end.synchronize()
        return 1e-3 * start.elapsed_time(end)

    count, elapsed = 1, all_of(1)
    while elapsed < least:
        count = math.ceil(count * min(10., max(1.2 * least / max(elapsed, 1e-9), 1.2)))
        elapsed = all_of(count)
    return elapsed / count


def seconds(job, least=.1):
    """Of one call, where it takes as long as `least`; else the mean of as many more as do."""
    if on_cuda:
        return seconds_on_device(job, least)
    start = clock()
    job()
    elapsed = clock() - start
    if elapsed >= least:
        return elapsed
    count, elapsed = 0, 0.
    start = clock()
    while elapsed < least:
        job()
        count += 1
        elapsed = clock() - start
    return elapsed / count


environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}


def program(layer):
    return os.path.join(options.folder, f"bench_{'cuda_' * on_cuda}{'train' if layer == 'predict' else layer}_bench")


def ours(layer, name):
    """Seconds a call, the share of the peak and the memory, where it is counted, from one short run of Google Benchmark."""
    timed_by = "manual_time" if on_cuda else "real_time"
    command = [program(layer), f"--benchmark_filter=^{name}/{timed_by}$", "--benchmark_min_time=0.1", "--benchmark_format=json"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    run, = json.loads(output)["benchmarks"]
    took = run["cpu_time" if options.cpu_time else "real_time"]
    took *= {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}[run["time_unit"]]
    return took, run.get("of_peak", math.nan), run.get("device_MB" if on_cuda else "peak_MB")


def compare(layer, what, case, name, jobs, their_memory=None, onnx_job=None):
    """Prints a line; their_memory(mode) are the MB of a mode."""
    theirs, mine, ratios, peaks, onnx, onnx_ratios = {key: [] for key in jobs}, [], [], [], [], []
    for _ in range(options.rounds):
        for key, job in jobs.items():
            theirs[key].append(seconds(job))
        if onnx_job:
            onnx.append(seconds(onnx_job))
        took, peak, memory = ours(layer, name)
        mine.append(took), peaks.append(peak)
        ratios.append(min(times[-1] for times in theirs.values()) / took)
        onnx_ratios += [took_there / took for took_there in onnx[-1:]]
    medians = {mode: statistics.median(times) for mode, times in theirs.items()}
    best = min(medians, key=medians.get)
    further = ""
    if their_memory:
        mode = min((mode for mode in medians if mode != "compile"), key=medians.get)
        further = f"{their_memory(mode):9.0f}{memory:9.0f}"
    if onnx:
        further += f"{1e3 * statistics.median(onnx):9.3f}{statistics.median(onnx_ratios):7.2f}"
    print(f"{what:18}{case:33}{1e3 * medians[best]:11.3f}{best:>10}{1e3 * statistics.median(mine):11.3f}"
          f"{statistics.median(ratios):7.2f}{statistics.median(peaks):6.2f}{further}", flush=True)


def network_memory(layer, name, images, threads, mode):
    """MB of a fresh process that does the work twice."""
    command = [sys.executable, "-W", "ignore", torch_networks.__file__, layer, name, str(images), str(threads), mode, options.device]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def place(threads):
    """How a line ends, and the name of a case of ours."""
    return ("device", "device") if on_cuda else (f"{threads} thr", f"threads:{threads}")


def compare_network(layer, name, images, threads, ours_is):
    where, suffix = place(threads)
    compare(layer, ours_is, f"{name:18} N {images:2}  {where}", f"{ours_is}/{name}/N:{images}/{suffix}",
            network_jobs(layer, name, images, options.device), lambda mode: network_memory(layer, name, images, threads, mode),
            onnx_runtime_job(name, images, threads) if onnxruntime and layer == "predict" else None)


machine = f"{torch.cuda.get_device_name()}; float, TF32 off" if on_cuda else f"{torch.backends.cpu.get_cpu_capability()}; float"
times = "time by events" if on_cuda else "processor time" if options.cpu_time else "wall time"
print(f"PyTorch {torch.__version__}, {machine}; medians of {options.rounds} rounds, {times}")
if "predict" in options.layers and not on_cuda:
    print(f"ONNX Runtime {onnxruntime.__version__}" if onnxruntime else "no ONNX Runtime: it needs onnxruntime and onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
for name in options.nets if {"train", "predict"} & set(options.layers) else []:
    require_agreement(name)
print(f"{'':51}{'PyTorch ms':>11}{'best of':>10}{'ours ms':>11}{'ratio':>7}{'peak':>6}"
      + (f"{'their MB':>9}{'our MB':>9}" if {"train", "predict"} & set(options.layers) else "")
      + (f"{'ONNX ms':>9}{'ratio':>7}" if onnxruntime and "predict" in options.layers else ""))
for threads in [torch.get_num_threads()] if on_cuda else options.threads:
    torch.set_num_threads(threads)
    where, suffix = place(threads)
    for what in ("forward", "forward_pullback"):
        for k in options.k if "dense" in options.layers else []:
            for T in options.T:
                compare("dense", what, f"k {k:4}  T {T:2}  {where}",
                        f"QMetricReLU/dense/{what}/k:{k}/T:{T}/N:{N}/{suffix}",
                        pytorch_jobs(k, T, what != "forward", options.device))
        for C, edge, T in CONVOLUTIONS if "conv" in options.layers else []:
            compare("conv", what, f"C {C:3} {edge:2}x{edge:2} T {T}  {where}",
                    f"QMetricReLU/conv/{what}/C:{C}/HW:{edge}/T:{T}/N:64/{suffix}",
                    convolution_jobs(C, edge, T, what != "forward", options.device))
    for name in options.nets:
        if "train" in options.layers:
            compare_network("train", name, 64, threads, "train_step")
        for images, ours_is in ((64, "predict"), (1, "predict"), (1, "predict_prepared")) if "predict" in options.layers else []:
            compare_network("predict", name, images, threads, ours_is)
