#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The experiment runner on the digits: one case a call.

    runner_test.py CASE PROGRAM DIGITS [LIBRARY]

LIBRARY is stop_at_call.cpp's. Needs the standard library alone."""

import csv
import gzip
import json
import os
import random
import shlex
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM, DIGITS = Path(sys.argv[2]).resolve(), Path(sys.argv[3])
TWIN = ["--net", "detrame-plainnet", "--depth", "3", "--steps", "2", "--dataset", "digits", "--limit", "200",
        "--epochs", "2", "--lr", "0.05", "--threads", "1"]


def run(*arguments, environment=None):
    """Exit status and all output."""
    result = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace",
                            env=environment, timeout=300)
    return result.returncode, result.stdout


def succeed(*arguments):
    status, output = run(*arguments)
    assert status == 0, f"{arguments}: status {status}\n{output}"
    return output


def read_safetensors(path):
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    return {name: (t["dtype"], t["shape"], raw[start + t["data_offsets"][0]:start + t["data_offsets"][1]])
            for name, t in header.items()}, metadata


def write_safetensors(path, tensors, metadata=None):
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def set_metadata(source, target, **changes):
    """A safetensors file with other texts under some keys; without a key where its text is None."""
    raw = Path(source).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    texts = {**header["__metadata__"], **changes}
    header["__metadata__"] = {key: text for key, text in texts.items() if text is not None}
    text = json.dumps(header).encode()
    Path(target).write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length:])


def step_of(folder):
    """step-N, the first line of `latest`."""
    return (folder / "latest").read_text().split("\n")[0]


def tensors_of(folder):
    return read_safetensors(folder / "model.safetensors")[0]


def rows_of(folder):
    """epochs.csv without what depends on time."""
    return [line.split(",")[:6] for line in (folder / "epochs.csv").read_text().splitlines()]


def check_same(folder, reference):
    assert tensors_of(folder) == tensors_of(reference), f"{folder}: other parameters than the run never stopped"
    assert rows_of(folder) == rows_of(reference), f"{folder}: other epochs than the run never stopped"
    classes = [(run / "classes.csv").read_text() for run in (folder, reference)]
    assert classes[0] == classes[1], f"{folder}: other classes than in the run never stopped"
    assert json.loads((folder / "summary.json").read_text())["finished"]
    left = [file.name for file in folder.iterdir() if ".part" in file.name]
    assert not left, f"{folder}: left behind {left}"


def killed_at_random(work):
    """A run killed at random moments and resumed ends as one never killed."""
    begin = time.monotonic()
    succeed("train", *TWIN, "--out", work / "whole")
    whole = time.monotonic() - begin
    random.seed(1)
    kills = 0
    for trial in range(20):  # more than four where others left the machine meanwhile, so that runs end before they are killed
        if trial >= 4 and kills > 4:
            break
        folder = work / f"killed{trial}"
        arguments = [PROGRAM, "train", *TWIN, "--save-every", "1", "--out", folder, "--resume"]
        for _ in range(200):
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                _, errors = process.communicate(timeout=random.uniform(0.05, 0.7) * whole)
                assert process.returncode == 0, errors
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        check_same(folder, work / "whole")
    print(f"killed {kills} times")
    assert kills > 4


def killed_at_every_call(work):
    """A run that ends at the n-th call which changes files, for every n, and is resumed, ends as one never stopped."""
    library = sys.argv[4]
    arguments = ["train", "--net", "plainnet", "--depth", "3", "--dataset", "digits", "--limit", "32", "--batch", "16",
                 "--epochs", "1", "--lr", "0.05", "--threads", "1", "--save-every", "1", "--resume", "--out"]
    counting = {**os.environ, "LD_PRELOAD": library, "DETRAME_COUNT_CALLS": str(work / "calls")}
    status, output = run(*arguments, work / "whole", environment=counting)
    assert status == 0, output
    calls = int((work / "calls").read_text())
    assert calls > 100, f"{calls} calls were seen: the library was not loaded"
    first, last = int(os.environ.get("FIRST", 1)), int(os.environ.get("LAST", calls))
    for n in range(first, last + 1):
        folder = work / "stopped"
        stopping = {**os.environ, "LD_PRELOAD": library, "DETRAME_STOP_AT": str(n)}
        status, output = run(*arguments, folder, environment=stopping)
        assert status == 99, f"call {n}: status {status}\n{output}"
        status, output = run(*arguments, folder)
        assert status == 0, f"after call {n}: status {status}\n{output}"
        check_same(folder, work / "whole")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    print(f"stopped at each of {calls} calls")


def interrupted(work):
    """Ctrl-C finishes the batch, writes a checkpoint and says how to go on; a folder serves one run at a time."""
    succeed("train", *TWIN, "--out", work / "whole")
    folder = work / "interrupted"
    process = subprocess.Popen([PROGRAM, "train", *TWIN, "--save-every", "1", "--out", folder], stdout=subprocess.PIPE,
                               text=True)
    while not (folder / "latest").exists():
        assert process.poll() is None
        time.sleep(0.01)
    status, output = run("train", *TWIN, "--out", folder, "--resume")
    assert status == 1 and "another process works in this folder" in output, output
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130, (process.returncode, output)
    command = f"train --resume --out {folder}"
    assert "Interrupted after" in output and command in output, output
    step = step_of(folder)
    assert step != "step-0" and step in output, (step, output)
    assert not (folder / "model.safetensors").exists()

    status, output = run("train", *TWIN, "--out", folder)
    assert status == 1 and "--resume goes on with it" in output, output
    status, output = run("train", "--resume", "--out", folder, "--lr", "0.2")
    assert status == 1 and "holds a run with --lr 0.05, which cannot become 0.2" in output, output
    succeed(*command.split())
    check_same(folder, work / "whole")
    assert not (folder / "step-2.state.safetensors").exists(), "--save-every 1 is not in force any more"
    command_of_run = json.loads((folder / "summary.json").read_text())["command"]
    assert command_of_run.endswith(" --threads 1 --save-every 1"), command_of_run
    succeed(*command.split())
    check_same(folder, work / "whole")


def started(*arguments, **more):
    """A process that trains, from the moment on at which its folder, the last argument, has a checkpoint."""
    process = subprocess.Popen([PROGRAM, "train", *arguments], stdout=subprocess.PIPE, text=True, errors="replace", **more)
    while not (arguments[-1] / "latest").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def signals(work):
    """SIGTERM and SIGHUP, twice, end with a checkpoint; what was ignored at the start stays so; output may break."""
    succeed("train", *TWIN, "--out", work / "whole")
    for sent in signal.SIGTERM, signal.SIGHUP:
        folder = work / sent.name
        process = started(*TWIN, "--out", folder)
        for _ in range(2):
            process.send_signal(sent)
            time.sleep(0.01)
        output, _ = process.communicate()
        assert process.returncode == 130 and "Interrupted after" in output, (sent, process.returncode, output)
        assert step_of(folder) != "step-0"
        succeed("train", "--resume", "--out", folder)
        check_same(folder, work / "whole")

    for ignored in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        folder = work / f"no {ignored.name}"
        process = started(*TWIN, "--out", folder, preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN))
        process.send_signal(ignored)
        output, _ = process.communicate()
        assert process.returncode == 0, (ignored, process.returncode, output)
        check_same(folder, work / "whole")

    # A batch of all images takes a second: a second Ctrl-C does not wait for it.
    one = [*TWIN[:-6], "--epochs", "1", "--batch", "1437", "--threads", "1", "--out", work / "twice"]
    one.remove("--limit"), one.remove("200")
    process = started(*one)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT and step_of(work / "twice") == "step-0", process.returncode

    # Nobody reads what is printed; a full disk.
    process = started(*TWIN, "--out", work / "unread", stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 1 and "the output could not all be written" in errors, (process.returncode, errors)
    check_same(work / "unread", work / "whole")
    process = started(*TWIN, "--out", work / "unread and ended")
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130 and step_of(work / "unread and ended") != "step-0"
    for arguments in [["train", *TWIN, "--out", work / "full"],
                      ["evaluate", "--checkpoint", work / "whole" / "model.safetensors"], ["table"], ["train", "--help"]]:
        with open("/dev/full", "w") as full:
            result = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
        assert result.returncode == 1 and "the output could not all be written" in result.stderr, (arguments, result)
    check_same(work / "full", work / "whole")


def not_finite(work):
    """What is not finite is neither saved nor an accuracy; what is read is not written over."""
    far = ["train", *TWIN[:-6], "--limit", "32", "--batch", "32", "--epochs", "1", "--lr", "1e12", "--threads", "1", "--out",
           work / "far"]
    del far[far.index("200") - 1:far.index("200") + 1]
    status, output = run(*far)
    assert status == 3 and "training diverged in epoch 1: test image 0: its scores are not finite" in output and "nan" not in output.split("diverged")[0], output
    assert step_of(work / "far") == "step-0", step_of(work / "far")
    assert not any((work / "far" / name).exists() for name in ("epochs.csv", "summary.json", "model.safetensors"))

    succeed("train", *TWIN[:-6], "--epochs", "0", "--out", work / "start")
    model = work / "start" / "model.safetensors"
    tensors, metadata = read_safetensors(model)
    def scaled(factor):
        """The model with all W times a number."""
        return {name: (dtype, shape, struct.pack(f"<{len(raw) // 4}f", *(factor * x for x, in struct.iter_unpack("<f", raw)))
                       if name.endswith(".W") else raw) for name, (dtype, shape, raw) in tensors.items()}

    write_safetensors(work / "grown", scaled(1e30), metadata)
    write_safetensors(work / "large", scaled(1e4), metadata)
    pixels = [0.5] * 320
    pixels[3 * 64 + 5] = float("nan")
    labels = {"labels": ("U8", [5], bytes(5))}
    write_safetensors(work / "images", {"images": ("F32", [5, 1, 8, 8], struct.pack("<320f", *pixels)), **labels})
    write_safetensors(work / "good", {"images": ("U8", [5, 1, 8, 8], bytes(range(64)) * 5), **labels})
    for what in "predict", "gradient":
        for checkpoint, images, first in [(model, "images", 3), (work / "grown", "good", 0)]:
            status, output = run(what, "--checkpoint", checkpoint, "--input", work / images, "--output", work / "x")
            assert status == 1 and f"image {first}: its scores are not finite" in output, output
            assert not (work / "x").exists(), output
    status, output = run("evaluate", "--checkpoint", work / "grown")
    assert status == 1 and "image 0: its scores are not finite" in output and "accuracy" not in output, output
    loss = succeed("evaluate", "--checkpoint", work / "large").split("loss ")[1].split(",")[0]
    assert "e+" in loss and len(loss) < 12, loss
    output = succeed("depth", "--checkpoint", work / "grown", "--limit", "10")
    assert output.count("image 0: its scores are not finite") == len(output.splitlines()) - 3 > 1, output

    write_safetensors(work / "none", {"images": ("U8", [0, 1, 8, 8], b""), "labels": ("U8", [0], b"")})
    status, output = run("gradient", "--checkpoint", model, "--input", work / "none", "--output", work / "x")
    assert status == 1 and "there are no images" in output, output

    (work / "link").symlink_to(model)
    for what in "predict", "gradient":
        for path, option in [(model, "--checkpoint"), (work / "link", "--checkpoint"), (work / "good", "--input")]:
            before = path.read_bytes()
            status, output = run(what, "--checkpoint", model, "--input", work / "good", "--output", path)
            assert status == 1 and f"that is the file of {option}, which it would replace" in output, output
            assert path.read_bytes() == before and (work / "link").is_symlink()

    # Other images, to train and to test.
    data = work / "data"
    data.mkdir()
    raw = (DIGITS / "digits-images-idx3-ubyte").read_bytes()
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()
    (data / "digits-images-idx3-ubyte").write_bytes(raw[:4] + struct.pack(">I", 360) + raw[8:16 + 360 * 64])
    (data / "digits-labels-idx1-ubyte").write_bytes(labels[:4] + struct.pack(">I", 360) + labels[8:8 + 360])
    status, output = run("train", *TWIN, "--data", data, "--out", work / "x")
    assert status == 1 and "expected training images, found none" in output, output
    (data / "digits-labels-idx1-ubyte").write_bytes(labels)
    (data / "digits-images-idx3-ubyte").write_bytes(raw)
    folder = work / "same images"
    succeed("train", *TWIN, "--data", data, "--out", folder)
    for what, place in [("training", 16), ("test", len(raw) - 1)]:
        (data / "digits-images-idx3-ubyte").write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1:])
        status, output = run("train", "--resume", "--data", data, "--out", folder)
        assert status == 1 and f"the {what} images are not those of the run" in output, output
    step = step_of(folder)
    (folder / "latest").write_text(step + "\n")
    for part, more in [("model", {}), ("state", {"test fingerprint": None})]:  # as older programs wrote it
        set_metadata(folder / f"{step}.{part}.safetensors", folder / f"{step}.{part}.safetensors", form=None, **more)
    succeed("train", "--resume", "--data", data, "--out", folder)


def from_a_model(work):
    """--from starts from the parameters of a model, with any T, and is a part of the command."""
    first = ["train", *TWIN[:-6], "--lr", "0.05", "--threads", "1"]
    succeed(*first, "--epochs", "1", "--out", work / "first")
    model = work / "first" / "model.safetensors"
    second = [*first, "--steps", "3", "--from", model]
    second[second.index("--steps"):second.index("--steps") + 2] = []
    succeed(*second, "--epochs", "0", "--out", work / "zero")
    assert tensors_of(work / "zero") == tensors_of(work / "first")
    metadata = read_safetensors(work / "zero" / "model.safetensors")[1]
    assert metadata["T"] == "3" and metadata["from"].startswith(f"{model}, checksum "), metadata
    assert "initialiser" not in metadata
    for folder in "once", "again":
        (work / folder).mkdir()
    (work / "my model").write_bytes(model.read_bytes())
    second[-1] = "../my model"
    result = subprocess.run([PROGRAM, *second, "--epochs", "2", "--out", "run"], cwd=work / "once", timeout=300)
    assert result.returncode == 0
    summary = json.loads((work / "once" / "run" / "summary.json").read_text())
    checksum = metadata["from"].split()[-1]
    assert f" --from '../my model' --from-checksum {checksum} " in summary["command"], summary["command"]
    in_a_shell(summary["command"], work / "again")
    check_same(work / "again" / "run", work / "once" / "run")

    for arguments, status, text in [
        (["--from", model, "--initialiser", "relu"], 2, "--from"),
        (["--from-checksum", checksum], 2, "--from"),
        (["--from", work / "none"], 1, "found no such file"),
        (["--from", model, "--from-checksum", "0" * 16], 1, f"expected the checksum {'0' * 16} of --from-checksum, found {checksum}"),
    ]:
        found, output = run(*first, "--epochs", "0", *arguments, "--out", work / "x")
        assert found == status and text in output, f"{arguments}: status {found}\n{output}"
    found, output = run("train", "--net", "plainnet", "--from", model, "--out", work / "y")
    assert found == 1 and "W_tilde" in output, output
    succeed("train", "--net", "plainnet", "--epochs", "0", "--out", work / "plain")
    plain = work / "plain" / "model.safetensors"
    found, output = run("train", "--net", "detrame-plainnet", "--from", plain, "--out", work / "y")
    assert found == 1 and f"{plain}: plainnet has no W_tilde, h and b from which detrame-plainnet could start" in output, output
    (work / "first" / "latest").unlink()
    found, output = run(*first, "--epochs", "0", "--from", model, "--out", work / "first")
    assert found == 1 and "the run would replace it by its own" in output, output

    # Results without a checkpoint are not written over.
    before = model.read_bytes()
    found, output = run(*first, "--epochs", "0", "--out", work / "first")
    assert found == 1 and f"{model} is of a run that has no `latest`" in output and "--resume" in output, output
    model.rename(work / "moved")
    found, output = run(*first, "--epochs", "0", "--out", work / "first")
    assert found == 1 and "summary.json is of a run that has no `latest`" in output, output
    assert (work / "moved").read_bytes() == before and not (work / "first" / "latest").exists()

    # What is not finite is refused when it is read.
    tensors, metadata = read_safetensors(work / "moved")
    name = next(name for name in tensors if name.endswith(".W"))
    for wrong, text in [(float("nan"), "nan"), (float("inf"), "inf")]:
        dtype, shape, raw = tensors[name]
        write_safetensors(work / text, {**tensors, name: (dtype, shape, raw[:-4] + struct.pack("<f", wrong))}, metadata)
        found, output = run(*first, "--epochs", "1", "--from", work / text, "--out", work / f"from {text}")
        assert found == 1 and f"{work / text}: an entry of {name} is " in output and "diverged" not in output, output
        found, output = run("inspect", "--checkpoint", work / text)
        assert found == 1 and f"an entry of {name} is " in output and "kappa" not in output, output

    # What was said is kept, and the file is not needed any more.
    (work / "my model").unlink()
    folder = work / "once" / "run"
    succeed("train", "--resume", "--epochs", "3", "--out", folder)
    status, output = run("train", "--resume", "--from", "another", "--out", folder)
    assert status == 1 and "holds a run with --from '../my model', which cannot become another" in output, output


def longer(work):
    """--resume --epochs goes on by the schedule that the run has; another one only by --reschedule."""
    short = ["--net", "plainnet", "--depth", "3", "--dataset", "digits", "--limit", "64", "--batch", "16",
             "--lr", "0.05", "--threads", "1"]
    once, again = work / "once", work / "again"
    for folder in once, again:
        folder.mkdir()

    def train_once(*arguments, status=0):
        result = subprocess.run([PROGRAM, "train", *arguments], cwd=once, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=300)
        assert result.returncode == status, (arguments, result.stdout)
        return result.stdout

    def summary_of(folder):
        return json.loads((once / folder / "summary.json").read_text())

    def check_repeats(folder):
        in_a_shell(summary_of(folder)["command"], again)
        check_same(again / folder, once / folder)

    train_once(*short, "--epochs", "4", "--out", "whole")
    train_once(*short, "--epochs", "2", "--schedule-epochs", "4", "--out", "part")
    assert rows_of(once / "part") == rows_of(once / "whole")[:3] and summary_of("part")["finished"]
    train_once("--resume", "--epochs", "4", "--out", "part")
    check_same(once / "part", once / "whole")

    # A finished run goes on, is unfinished meanwhile, and its command is that of one run.
    train_once(*short, "--epochs", "2", "--out", "more")
    process = started("--resume", "--epochs", "60", "--out", once / "more")
    while summary_of("more")["finished"]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130 and step_of(once / "more") != "step-8"
    done = len(rows_of(once / "more"))
    output = train_once("--resume", "--epochs", "1", "--out", "more", status=1)
    assert "--epochs 1 is less" in output, output
    if not read_safetensors(once / "more" / f"{step_of(once / 'more')}.state.safetensors")[1]["position"] == "0":
        output = train_once("--resume", "--reschedule", "--epochs", "60", "--out", "more", status=1)
        assert f"--resume --epochs {done} ends it first" in output, output
    train_once("--resume", "--epochs", str(done), "--out", "more")
    rates = [float(row[1]) for row in rows_of(once / "more")[3:]]  # the milestones of two epochs are 1, 2 and 2
    assert rates and all(abs(rate - 0.05 * 0.2 ** 3) < 1e-12 for rate in rates), rates
    check_repeats("more")

    # Another schedule, twice.
    train_once(*short, "--epochs", "2", "--out", "new")
    output = train_once("--resume", "--epochs", "4", "--lr", "0.02", "--out", "new", status=1)
    assert "cannot become 0.02 on the way without --reschedule" in output, output
    output = train_once("--resume", "--reschedule", "--lr", "0.02", "--out", "new", status=1)
    assert "has done 2 epochs, with none to come: --epochs N, with N > 2" in output, output
    output = train_once("--resume", "--epochs", "4", "--reschedule", "--warm-up", "2", "--out", "new", status=1)
    assert "--warm-up 2 is counted from the first epoch, and 2 are done" in output, output
    output = train_once("--resume", "--epochs", "4", "--reschedule", "--lr", "0.02", "--out", "new")
    assert "going on after epoch 2, batch 0, at rate 0.004\n" in output, output
    train_once("--resume", "--epochs", "5", "--reschedule", "--schedule-epochs", "50", "--out", "new")
    output = train_once("--resume", "--epochs", "6", "--out", "new")
    assert "the schedule is for" not in output, output
    rates = [float(row[1]) for row in rows_of(once / "new")[1:]]
    expected = [0.05, 0.01, 0.02 * 0.2, 0.02 * 0.04, 0.02, 0.02]
    assert all(abs(rate - right) < 1e-12 for rate, right in zip(rates, expected, strict=True)), rates
    assert summary_of("new")["command"].count(" && ") == 2, summary_of("new")["command"]
    check_repeats("new")

    # A warm-up that is over is no part of a new schedule, nor are schedules by which nothing was trained.
    train_once(*short, "--epochs", "1", "--warm-up", "1", "--out", "warm")
    output = train_once("--resume", "--epochs", "2", "--out", "warm")
    assert "the schedule is for 1 epoch; --resume --reschedule makes another\n" in output, output
    output = train_once("--resume", "--reschedule", "--epochs", "3", "--out", "warm")
    assert "warmed up" not in output and "--warm-up 0 " in summary_of("warm")["command"], output
    train_once("--resume", "--reschedule", "--epochs", "5", "--lr", "1e29", "--out", "warm", status=3)
    train_once("--resume", "--reschedule", "--epochs", "5", "--lr", "0.01", "--out", "warm")
    assert "1e+29" not in summary_of("warm")["command"], summary_of("warm")["command"]
    check_repeats("warm")
    for arguments, status, text in [(["--reschedule"], 2, "--resume"),
                                    (["--reschedule", "--resume", "--net", "plainnet"], 1, "has no run that could go on")]:
        assert text in train_once(*arguments, "--out", "none", status=status)


def classes(work):
    """classes.csv says, class by class, what the scores of the test images say; a dead class scores 0 for all."""
    folder, plain = work / "run", ["train", "--net", "plainnet", "--limit", "300", "--batch", "50", "--threads", "1"]
    succeed(*plain, "--epochs", "1", "--lr", "0.2", "--out", work / "alive")
    tensors, metadata = read_safetensors(work / "alive" / "model.safetensors")
    last = max(name for name, (_, shape, _) in tensors.items() if name.endswith(".c") and shape == [10, 1])
    biases = tensors[last][2]
    tensors[last] = "F32", [10, 1], biases[:12] + struct.pack("<f", 1e3) + biases[16:]  # W x - c < 0: class 3 is dead
    write_safetensors(work / "dead", tensors, metadata)
    succeed(*plain, "--epochs", "2", "--lr", "0.1", "--from", work / "dead", "--out", folder)
    lines = [line.split(",") for line in (folder / "classes.csv").read_text().splitlines()]
    assert lines[0] == ["epoch", "class", "images", "accuracy", "positive"]
    assert [line[:2] for line in lines[1:]] == [[str(e), str(c)] for e in (1, 2) for c in range(10)]
    pixels = (DIGITS / "digits-images-idx3-ubyte").read_bytes()[16:][-360 * 64:]
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()[8:][-360:]
    write_safetensors(work / "images", {"images": ("F32", [360, 1, 8, 8], struct.pack(f"<{360 * 64}f", *(p / 16 for p in pixels)))})
    succeed("predict", "--checkpoint", folder / "model.safetensors", "--input", work / "images", "--output", work / "logits")
    logits = struct.unpack("<3600f", read_safetensors(work / "logits")[0]["logits"][2])
    rows = [logits[10 * i:10 * i + 10] for i in range(360)]
    right = [row[label] == max(row) and row.count(max(row)) == 1 for row, label in zip(rows, labels)]
    for c, (_, _, images, accuracy, positive) in enumerate(lines[11:]):
        assert int(images) == labels.count(c)
        assert float(accuracy) == sum(r for r, label in zip(right, labels) if label == c) / labels.count(c), c
        assert float(positive) == sum(row[c] > 0 for row in rows) / 360, c
    assert [c for c in range(10) if float(lines[11 + c][4]) == 0] == [3] and float(lines[14][3]) == 0, lines[11:]
    summary = json.loads((folder / "summary.json").read_text())
    assert abs(summary["test_accuracy"] - sum(right) / 360) < 1e-12 and 0 < summary["test_seconds_an_image"] < 1

    # A run that began before there was such a file goes on.
    step = step_of(folder)
    tensors, metadata = read_safetensors(folder / f"{step}.state.safetensors")
    del tensors["classes"], metadata["form"]
    for key in ["test fingerprint", *(f"--{option}" for option in "schedule-epochs from from-checksum schedule warm-up "
                                      "optimiser nesterov clip drop-last".split())]:
        del metadata[key]
    write_safetensors(folder / f"{step}.state.safetensors", tensors, metadata)
    set_metadata(folder / f"{step}.model.safetensors", folder / f"{step}.model.safetensors", form=None)
    (folder / "latest").write_text(step + "\n")
    succeed("train", "--resume", "--epochs", "3", "--out", folder)
    again = (folder / "classes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in again[1:]] == ["3"] * 10


def options(work):
    """Optimisers, schedules and starts are what they are called; a run with them goes on, and its command repeats it."""
    once, again = work / "once", work / "again"
    for folder in once, again:
        folder.mkdir()
    common = ["--net", "detrame-plainnet", "--limit", "200", "--batch", "64", "--epochs", "3", "--threads", "1", "--lr", "0.01"]
    for name, more, moments, steps, shares in [
        ("nesterov", ["--nesterov", "--clip", "0.5", "--drop-last"], {"velocity"}, 9, [1, 0.2, 0.04]),
        ("adamw", ["--optimiser", "adamw", "--schedule", "cosine", "--warm-up", "0.5", "--initialiser", "he"],
         {"mean", "square"}, 12, [0.1, 0.75, 0.25]),
    ]:
        arguments = [*common, *more]
        succeed("train", *arguments, "--out", work / name)
        assert step_of(work / name) == f"step-{steps}"
        summary = json.loads((work / name / "summary.json").read_text())
        trained = summary["images_per_second"] * summary["seconds"]
        assert abs(trained - 3 * (192 if "--drop-last" in more else 200)) < 1e-6, (name, trained)
        rates = [float(row[1]) for row in rows_of(work / name)[1:]]
        assert all(abs(rate - 0.01 * share) < 1e-15 for rate, share in zip(rates, shares, strict=True)), rates
        state = read_safetensors(work / name / f"step-{steps}.state.safetensors")[0]
        assert {tensor.split(".")[0] for tensor in state} - {"history", "classes"} == moments
        process = started(*arguments, "--out", once / name)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
        succeed("train", "--resume", "--out", once / name)
        check_same(once / name, work / name)
        command = json.loads((once / name / "summary.json").read_text())["command"]
        in_a_shell(command.replace(f"--out {once}", f"--out {again}"), again)
        check_same(again / name, work / name)
    for option in ["--nesterov"], ["--clip", "0.5"], ["--drop-last"]:
        arguments = [*common, "--nesterov", "--clip", "0.5", "--drop-last"]
        place = arguments.index(option[0])
        del arguments[place:place + len(option)]
        succeed("train", *arguments, "--out", work / f"no {option[0]}")
        assert tensors_of(work / f"no {option[0]}") != tensors_of(work / "nesterov"), f"{option} changes nothing"

    starts = {}
    for name in "relu", "random", "he", "glorot", "algorithm2":
        succeed("train", "--net", "detrame-plainnet", "--epochs", "0", "--initialiser", name, "--out", work / f"start {name}")
        starts[name] = {key: [x for x, in struct.iter_unpack("<f", raw)]
                        for key, (_, _, raw) in tensors_of(work / f"start {name}").items()}
        shapes = {key: shape for key, (_, shape, _) in tensors_of(work / f"start {name}").items()}
    kernel, (rows, _) = next((key, shape) for key, shape in shapes.items() if key.endswith(".W") and shape[1] == 9)  # 3 x 3
    for name, variance in [("relu", 1 / 27), ("he", 2 / 9), ("glorot", 2 / (9 + 9 * rows)), ("algorithm2", 1 / 9)]:
        found = sum(x * x for x in starts[name][kernel]) / (9 * rows)
        assert abs(found / variance - 1) < 4 * (2 / (9 * rows)) ** 0.5, (name, found, variance)
    for key in starts["relu"]:
        if key.endswith(".h"):
            assert set(starts["he"][key]) == {1} and 0 <= min(starts["algorithm2"][key]) < max(starts["algorithm2"][key]) <= 1
        if key.endswith("W_tilde"):
            assert not any(starts["glorot"][key]) and any(starts["random"][key]) and any(starts["algorithm2"][key])

    for arguments, status, text in [
        (["--optimiser", "adamw", "--momentum", "0.9"], 2, "--momentum: that is SGD's"),
        (["--optimiser", "adamw", "--nesterov"], 2, "--nesterov: that is SGD's"),
        (["--nesterov", "--momentum", "0"], 2, "--nesterov with --momentum 0"),
        (["--schedule", "cosine", "--schedule-epochs", "3"], 2, "--epochs 60: the rate is 0 after the 3 epochs"),
        (["--schedule", "linear"], 2, "--schedule: linear not in {steps,cosine}"),
        (["--optimiser", "lion"], 2, "--optimiser: lion not in {sgd,adamw}"),
        (["--clip", "-1"], 2, "--clip: -1 is not in [0, 1e+30]"),
        (["--warm-up", "nan"], 2, "--warm-up: nan is not in [0, 1e+06]"),
        (["--drop-last", "--limit", "100"], 1, "--batch 128 is more than the 100 training images (--limit 100)"),
    ]:
        found, output = run("train", *arguments, "--out", work / "x")
        assert found == status and text in output, f"{arguments}: status {found}\n{output}"
    succeed("train", *common, "--schedule", "cosine", "--out", work / "cosine")
    status, output = run("train", "--resume", "--epochs", "4", "--out", work / "cosine")
    assert status == 1 and "--resume --reschedule makes another one" in output, output
    succeed("train", "--resume", "--epochs", "4", "--reschedule", "--out", work / "cosine")


def several_seeds(work):
    """--seeds trains a run each, which go on together, and says mean and deviation."""
    short = ["--net", "plainnet", "--limit", "200", "--epochs", "2", "--batch", "32", "--threads", "1"]
    seeds = [3, 5, 6]
    for seed in seeds:
        succeed("train", *short, "--seed", seed, "--out", work / f"{seed}")
    out = work / "all of them"
    process = subprocess.Popen([PROGRAM, "train", *short, "--seeds", "3,5,6", "--out", out], stdout=subprocess.DEVNULL)
    while not (out / "seed-5" / "latest").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    process = subprocess.Popen([PROGRAM, "train", "--resume", "--out", out, "--save-every", "1"], stdout=subprocess.PIPE, text=True)
    while not (out / "seed-6" / "latest").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    command = output.rstrip().split("\n")[-1]
    assert command.strip() == f"detrame-experiment train --resume --out '{out}' --threads 1 --save-every 1", command
    output = in_a_shell(command, work)
    accuracies = []
    for seed in seeds:
        check_same(out / f"seed-{seed}", work / f"{seed}")
        summary = json.loads((out / f"seed-{seed}" / "summary.json").read_text())
        assert f"--seed {seed} " in summary["command"] and f"seed-{seed}'" in summary["command"], summary["command"]
        accuracies.append(100 * summary["test_accuracy"])
    mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
    assert f"test accuracy over 3 seeds: {mean:.2f} +- {deviation:.2f} %" in output and deviation > 0, (accuracies, output)

    # More of them, and longer.
    succeed("train", "--resume", "--seeds", "3..4", "--epochs", "3", "--out", out)
    assert len(rows_of(out / "seed-3")) == len(rows_of(out / "seed-4")) == 4 and len(rows_of(out / "seed-5")) == 3
    for arguments, status, text in [(["--seeds", "5..3"], 2, "5..3 is no list"), (["--seeds", "1,1"], 2, "1,1 is no list"),
                                    (["--seeds", "1..9999999"], 2, "is no list"), (["--seeds", "1,"], 2, "is no list"),
                                    (["--seeds", "1..2", "--seed", "1"], 2, "--seed"),
                                    (["--resume", "--reschedule"], 1, "have a folder each, which --out has to name"),
                                    (["--seeds", "3..4"], 1, "--resume goes on with them"),
                                    (["--seed", "3"], 1, "--resume goes on with them"),
                                    (["--resume", "--seed", "3"], 1, "holds the runs of --seeds"),
                                    (["--resume", "--seeds", "9", "--lr", ".1"], 1, "seed-3 holds a run with --lr 0.05"),
                                    (["--resume", "--seeds", "9,3", "--lr", ".1"], 1, "holds a run with --lr 0.05")]:
        found, output = run("train", *arguments, "--out", out)
        assert found == status and text in output, f"{arguments}: status {found}\n{output}"
        # What is refused changes nothing; what was listed stays so.
        assert (out / "seeds").read_text() == "3\n5\n6\n4\n" and not (out / "seed-9").exists(), arguments
    (out / "seeds").write_text("9\n")  # as a list that names none of those that are there
    output = succeed("train", "--resume", "--out", out)
    assert len(rows_of(out / "seed-9")) == 4, output

    status, output = run("train", *short, "--seeds", "3,5", "--out", work / "3")
    assert status == 1 and "holds a run, at step-" in output and not (work / "3" / "seeds").exists(), output


def dictionaries(work):
    """A deep dictionary trains, with what was solved again counted over stops; a twin starts from it, nearer with more updates."""
    if "--net deep-dictionary --depth 3   images of 1 x 8 x 8" not in succeed("info"):
        print("skipped: no deep dictionary of the digits is compiled in")
        sys.exit(77)
    short = ["--limit", "64", "--batch", "16", "--lr", "0.01", "--threads", "1"]

    def summary_of(folder):
        return json.loads((work / folder / "summary.json").read_text())

    exact = ["train", "--net", "deep-dictionary", *short]
    succeed(*exact, "--epochs", "2", "--schedule-epochs", "1", "--out", work / "whole")
    succeed(*exact, "--epochs", "1", "--out", work / "parts")
    succeed("train", "--resume", "--epochs", "2", "--out", work / "parts")
    check_same(work / "parts", work / "whole")
    share = summary_of("whole")["solved_again_share"]
    assert 0 <= share <= 1 and summary_of("parts")["solved_again_share"] == share
    problems = {read_safetensors(work / folder / "step-8.state.safetensors")[1]["problems"] for folder in ("whole", "parts")}
    assert problems == {str(2 * 64 * (64 + 16))}, problems  # epochs, images, sites of both dictionaries
    succeed(*exact, "--epochs", "0", "--out", work / "start")
    first, last = tensors_of(work / "start"), tensors_of(work / "whole")
    problem = [name for name in first if name.endswith(("alpha", "beta", "lambda"))]
    assert problem and all(first[name] == last[name] for name in problem)
    tensors, metadata = read_safetensors(work / "start" / "model.safetensors")
    dark = {name: (dtype, shape, struct.pack("<f", 1e6) if name.endswith("lambda") else raw)
            for name, (dtype, shape, raw) in tensors.items()}
    write_safetensors(work / "dark", dark, metadata)  # all codes are 0
    output = succeed("train", "--net", "detrame-deep-dictionary", "--epochs", "0", "--from", work / "dark", "--out",
                     work / "from dark")
    assert "at the start codes are 0 % and 0 % from the exact ones" in output, output
    assert any(first[name] != last[name] for name in first)

    distances = []
    for steps in "3", "30":
        folder = work / f"T{steps}"
        output = succeed("train", "--net", "detrame-deep-dictionary", "--steps", steps, *short, "--epochs", "1", "--from",
                         work / "whole" / "model.safetensors", "--out", folder)
        start = summary_of(folder.name)["start"]
        assert f"at the start {start}" in output and "layer by layer, test accuracy" in start, (start, output)
        assert len(start.split()[-2].split(".")[1]) == 2, start
        distances.append(float(start.split()[2]))
        assert "solved_again_share" not in summary_of(folder.name)
    assert distances[1] < distances[0], distances
    succeed("train", "--resume", "--epochs", "2", "--out", folder)
    assert summary_of(folder.name)["start"] == start


def in_a_shell(command, folder):
    """All that a command typed into bash prints, in a folder, where PATH has the program."""
    assert PROGRAM.name == "detrame-experiment"
    environment = {**os.environ, "PATH": f"{PROGRAM.resolve().parent}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=300)
    output = os.fsdecode(result.stdout)
    assert result.returncode == 0, (command, output)
    return output


def commands(work):
    """The command in summary.json repeats the run, that of an interruption goes on with it: a shell reads every path."""
    folders = ["my run; it's", "$HOME \\ `a`", "-o", "\u00fcber\tuns", os.fsdecode(b"r\xe9sultats\n'\\"), "~a", "=b"]
    settings = {"--net": "detrame-plainnet", "--depth": "3", "--dataset": "digits", "--steps": "3", "--epochs": "2",
                "--lr": "0.03", "--batch": "20", "--momentum": "0.8", "--weight-decay": "0.001", "--decays": "weights",
                "--initialiser": "random", "--seed": "18446744073709551615", "--limit": "60"}
    arguments = [text for option in settings.items() for text in option]
    for there in "once", "again":
        (work / there).mkdir()
    for folder in folders:
        process = subprocess.Popen([PROGRAM, "train", *arguments, f"--out={folder}", "--threads", "1", "--save-every", "2"],
                                   cwd=work / "once", stdout=subprocess.PIPE)
        while not (work / "once" / folder / "latest").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed = os.fsdecode(process.communicate()[0])
        assert process.returncode == 130, printed
        in_a_shell(printed.rstrip("\n").split("\n")[-1], work / "once")
        summary = json.loads((work / "once" / folder / "summary.json").read_text())
        for option, value in settings.items():
            assert f"{option} {value} " in summary["command"], (option, summary["command"])
        in_a_shell(summary["command"], work / "again")
        check_same(work / "again" / folder, work / "once" / folder)
        again = json.loads((work / "again" / folder / "summary.json").read_text())
        assert again["command"] == summary["command"] and again["settings"] == summary["settings"]
    assert "--threads 1" in summary["command"] and "--save-every 2" in summary["command"]

    # What the data set decides is not said; the paths are.
    succeed("train", "--net", "plainnet", "--epochs", "0", "--out", work / "usual")
    command = json.loads((work / "usual" / "summary.json").read_text())["command"]
    expected = f"detrame-experiment train --net plainnet --depth 3 --dataset digits --epochs 0 --data "
    assert command.startswith(expected) and command.endswith(f" --out {work / 'usual'}"), command


def milestones(work):
    """The first epoch has the rate that is announced; a run keeps the milestones with which it began."""
    short = ["--net", "plainnet", "--depth", "3", "--dataset", "digits", "--limit", "32", "--batch", "16",
             "--lr", "0.05", "--threads", "1"]

    def rates_of(folder):
        return [float(row[1]) for row in rows_of(folder)[1:]]

    def check_rates(folder, *falls):
        rates = rates_of(folder)
        assert len(rates) == len(falls), rates
        assert all(abs(rate - 0.05 * 0.2 ** n) < 1e-12 for rate, n in zip(rates, falls)), (folder, rates)

    for epochs, falls, announced in [
        (1, [0], "1 epochs from rate 0.05, batches"),
        (2, [0, 1], "2 epochs from rate 0.05, times 0.2 after 1, batches"),
        (3, [0, 1, 2], "3 epochs from rate 0.05, times 0.2 after 1, 2, batches"),
        (4, [0, 0, 1, 2], "4 epochs from rate 0.05, times 0.2 after 2, 3, batches"),
        (8, [0, 0, 0, 1, 1, 2, 2, 3], "8 epochs from rate 0.05, times 0.2 after 3, 5, 7, batches"),
    ]:
        output = succeed("train", *short, "--epochs", epochs, "--out", work / f"{epochs}")
        assert announced in output, output
        check_rates(work / f"{epochs}", *falls)

    # The checkpoint after three of four epochs, with what stands in it changed.
    state = work / "4" / "step-6.state.safetensors"
    three = read_safetensors(state)[1]
    assert (three["epoch"], three["milestones"]) == ("3", "2 3 4"), three
    for name, stored, last in [("stored", "2 3 4", 2), ("another", "3", 1), ("never", "", 0),
                               ("not stored", None, 3)]:  # begun when shares were rounded down, to 1, 2, 3
        folder = work / name
        folder.mkdir()
        (folder / "latest").write_text("step-6\n")  # of the first form, without checksums
        set_metadata(work / "4" / "step-6.model.safetensors", folder / "step-6.model.safetensors", form=None)
        set_metadata(state, folder / state.name, form=None, milestones=stored)
        succeed("train", "--resume", "--out", folder)
        check_rates(folder, 0, 0, 1, last)
        after = read_safetensors(folder / "step-8.state.safetensors")[1]
        assert after["milestones"] == ("1 2 3" if stored is None else stored), after
    check_same(work / "stored", work / "4")

    for wrong in "2 3 x", "2  3", "3 5", "-1", " ", "99999999999":
        set_metadata(state, folder / state.name, form=None, milestones=wrong)
        (folder / "latest").write_text("step-6\n")
        status, output = run("train", "--resume", "--out", folder)
        text = f'milestones: expected epochs in 0 ... 4, as in "3 5 7", found "{wrong}"'
        assert status == 1 and text in output, output


def refusals(work):
    """Wrong values are explained; nothing is overwritten where training diverges."""
    (work / "file").write_text("mine")
    for arguments, status, text in [
        ([], 2, "A subcommand is required"),
        (["trian"], 2, "not expected: trian"),
        (["train"], 2, "--out is required"),
        (["train", "--epoch", "3"], 2, "--epoch"),
        (["evaluate", "--chekpoint", "x"], 2, "--chekpoint"),
        (["evaluate", "--limit", "-1"], 2, "--limit: -1 is not in"),
        (["predict", "--checkpoint", "x", "--input", "y"], 2, "--output is required"),
        (["train", "--out", work / "a", "--net", "vgg"], 2, "--net: vgg not in {plainnet"),
        (["train", "--out", work / "a", "--lr", "-1"], 2, "--lr: -1 is not in (0, 1e+30)"),
        (["train", "--out", work / "a", "--lr", "0"], 2, "--lr: 0 is not in (0, 1e+30)"),
        (["train", "--out", work / "a", "--lr", "nan"], 2, "--lr: nan is not in (0, 1e+30)"),
        (["train", "--out", work / "a", "--lr", ".1x"], 2, "--lr: .1x is not a number in (0, 1e+30)"),
        (["train", "--out", work / "a", "--momentum", "1"], 2, "--momentum: 1 is not in [0, 1)"),
        (["train", "--out", work / "a", "--epochs", "1.5"], 2, "--epochs"),
        (["train", "--out", work / "a", "--threads", "0"], 2, "--threads: 0 is not in [1, 1024]"),
        (["train", "--out", work / "a", "--dataset", "imagenet"], 2, "--dataset: imagenet not in {digits"),
        (["train", "--out", work / "a", "--seed", "-1"], 2, "--seed: -1 is not a whole number in [0, 2^64)"),
        (["train", "--out", ""], 2, "--out is empty"),
        (["train", "--out", work / "file"], 2, f"--out {work / 'file'}: no folder can be made there: "),
        (["train", "--out", work / "file" / "a" / "b"], 2, "no folder can be made there: "),
        (["train", "--out", work / "d" / "e" / ("x" * 300)], 2, "no folder can be made there: "),
        (["train", "--out", work / "d" / "e" / "f", "--steps", "77"], 2, "is not compiled in"),
        (["train", "--out", work / "a", "--device", "tpu"], 2, "--device: tpu not in {cpu,cuda}"),
        (["train", "--out", work / "a", "--initialiser", "tied"], 2, "--initialiser: tied not in {relu"),
        (["train", "--out", work / "a", "--net", "plainnet", "--steps", "2"], 2, "plainnet has no Q-metric ReLU"),
        (["train", "--out", work / "a", "--steps", "0"], 2, "T must be >= 1"),
        (["train", "--out", work / "a", "--steps", "77"], 2, "is not compiled in. For images of 1 x 8 x 8 in 10 classes"),
        (["train", "--out", work / "a", "--dataset", "cifar10"], 2, "--data is missing: a folder with cifar10"),
        (["train", "--out", work / "a", "--data", work / "none"], 1, "found no such folder"),
        (["train", "--out", work / "a", "--data", work], 1, "expected digits-images-idx3-ubyte or digits-images-i"),
        (["train", "--out", work / "b", "--resume"], 1, "there is no checkpoint to go on from"),
        (["evaluate", "--checkpoint", work / "none"], 1, "expected a safetensors file, found no such file"),
        (["info", "--net", "resnet", "--depth", "9"], 2, "is not compiled in"),
        (["train", "--out", work / "c", "--net", "plainnet", "--drop-last", "--limit", "50"], 1,
         "--drop-last: there is no other batch, as --batch 128 is more than the 50 training images (--limit 50)"),
    ]:
        found, output = run(*arguments)
        assert found == status and text in output, f"{arguments}: status {found}\n{output}"
    assert not (work / "c").exists() and not (work / "d").exists() and (work / "file").read_text() == "mine"
    output = run("info", "--net", "detrame-deep-dictionary")[1]
    assert "--steps 3" in output.split("\n")[0], output

    diverging = ["train", *TWIN, "--out", work / "far"]
    diverging[diverging.index("--lr") + 1] = "1e8"
    status, output = run(*diverging)
    assert status == 3 and "training diverged in epoch 1" in output and "smaller rate than --lr 1e+08" in output, output
    assert step_of(work / "far") == "step-0"
    assert not (work / "far" / "model.safetensors").exists()
    status, output = run("train", "--resume", "--out", work / "far")
    assert status == 3, output

    succeed("train", *TWIN[:-6], "--epochs", "0", "--out", work / "start")
    model = work / "start" / "model.safetensors"
    raw = model.read_bytes()
    random.seed(2)
    for trial in range(30):
        damaged = bytearray(raw)
        place = random.randrange(min(len(raw), 3000))
        damaged[place] ^= 1 << random.randrange(8)
        (work / "damaged").write_bytes(damaged[:random.choice([len(raw), len(raw), random.randrange(len(raw))])])
        status, output = run("evaluate", "--checkpoint", work / "damaged", "--limit", "1")
        assert status in (0, 1), f"trial {trial}: status {status}\n{output}"
    set_metadata(model, work / "damaged", T="-1")
    assert "--steps -1 is not compiled in" in run("evaluate", "--checkpoint", work / "damaged")[1]
    for key, value in [("depth", "4"), ("classes", "-3"), ("T", "9e9"), ("mean", "nan"), ("channels", "99999999999999")]:
        set_metadata(model, work / "damaged", **{key: value})
        status, output = run("evaluate", "--checkpoint", work / "damaged")
        assert status == 1 and output.startswith("detrame-experiment: "), output


def contractions(text):
    """What info says of the recurrent layers of a model: kappa, and the T where there are some."""
    rows = [line.split() for line in text.partition("recurrent layers")[2].splitlines()[1:]]
    return {row[0]: [float(number) for number in row[1:]] for row in rows}


def predicts(work):
    """predict gives the logits that evaluate counts; threads change nothing; info and depth and table say what they should."""
    succeed("train", *TWIN[:-6], "--epochs", "6", "--lr", "0.05", "--threads", "1", "--out", work / "one")
    succeed("train", *TWIN[:-6], "--epochs", "6", "--lr", "0.05", "--threads", "2", "--out", work / "two")
    assert tensors_of(work / "one") == tensors_of(work / "two"), "results depend on the number of threads"
    model = work / "one" / "model.safetensors"

    pixels = (DIGITS / "digits-images-idx3-ubyte").read_bytes()[16:][-360 * 64:]
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()[8:][-360:]
    write_safetensors(work / "images.safetensors",
                      {"images": ("F32", [360, 1, 8, 8], struct.pack(f"<{360 * 64}f", *(p / 16 for p in pixels)))})
    succeed("predict", "--checkpoint", model, "--input", work / "images.safetensors", "--output", work / "logits")
    dtype, shape, raw = read_safetensors(work / "logits")[0]["logits"]
    assert (dtype, shape) == ("F32", [360, 10])
    logits = struct.unpack("<3600f", raw)
    correct = sum(max(range(10), key=logits[10 * i:10 * i + 10].__getitem__) == label for i, label in enumerate(labels))
    output = succeed("evaluate", "--checkpoint", model)
    assert f"({correct} correct)" in output and correct > 36, (correct, output)

    write_safetensors(work / "small.safetensors", {"images": ("F32", [1, 8, 8], bytes(256))})
    status, output = run("predict", "--checkpoint", model, "--input", work / "small.safetensors", "--output", work / "x")
    assert status == 1 and "expected N x 1 x 8 x 8 of F32 or U8, found 1 x 8 x 8 of F32" in output, output

    assert "trained with this T" in succeed("depth", "--checkpoint", model)
    info = succeed("info", "--checkpoint", model)
    assert "259842 parameters, 14695200 multiply-adds" in info
    tensors, metadata = read_safetensors(model)
    kappas = contractions(info)
    assert kappas.keys() == {name for name in tensors if name.endswith("W_tilde")} and len(kappas) > 0, info
    for name, (kappa, *updates) in kappas.items():
        assert kappa > 0 and len(updates) == (2 if kappa < 1 else 0), info
        # half a cyclic shift of the channels of each group, in the middle tap: its norm is 1/2
        dtype, (rows, columns), _ = tensors[name]
        taps = columns // tensors[name.removesuffix("W_tilde") + "h"][1][0]
        entries = [.5 * (j // rows % taps == taps // 2 and j % rows == (i + 1) % rows)
                   for i in range(rows) for j in range(columns)]
        tensors[name] = dtype, [rows, columns], struct.pack(f"<{rows * columns}f", *entries)
    write_safetensors(work / "half.safetensors", tensors, metadata)
    for kappa, *updates in contractions(succeed("info", "--checkpoint", work / "half.safetensors")).values():
        assert abs(kappa - .5) <= 1e-3 and updates == [7, 14], (kappa, updates)
    assert max(map(len, succeed("table", "--images-per-second", "1e-300").splitlines())) < 200
    table = succeed("table", "--results", work, "--images-per-second", "100")
    for text in ["93.05 +- 0.46", "not run here: 27.8 hours at 100 images/s", "12997.66", "0.1605", "Figure 2"]:
        assert text in table, text


def files_of_others(work):
    """Files that only look like ours survive, and stop nothing; those that a killed run left go."""
    folder = work / "run"
    folder.mkdir()
    users = ["model.safetensors.part-of-my-thesis", "latest.party.jpg", "epochs.csv.partial", "summary.json.part1",
             "model.safetensors.part1-2.bak", "other.csv.part1-2"]
    for name in users:
        (folder / name).write_text("mine")
    (folder / "latest.part").mkdir()
    (folder / "epochs.csv.part3-4").mkdir()
    ours = ["model.safetensors.part1-2", "epochs.csv.part12-0", "summary.json.part9-9", "latest.part77-0",
            "step-3.model.safetensors.part5-1"]
    for name in ours:
        (folder / name).write_text("left behind")
    arguments = ["train", *TWIN[:-6], "--epochs", "1", "--lr", "0.05", "--threads", "1", "--out", folder]
    succeed(*arguments)
    for name in ours:
        assert not (folder / name).exists(), name
        (folder / name).write_text("left behind")
    succeed(*arguments, "--resume")
    for name in users:
        assert (folder / name).read_text() == "mine", name
    assert (folder / "latest.part").is_dir() and (folder / "epochs.csv.part3-4").is_dir()
    for name in ours:
        assert not (folder / name).exists(), name


def damaged_checkpoints(work):
    """Values out of their ranges are refused in a checkpoint as on the command line; so are flipped bits."""
    folder = work / "run"
    succeed("train", *TWIN, "--out", folder)
    step = step_of(folder)
    state, latest = folder / f"{step}.state.safetensors", folder / "latest"
    model = folder / f"{step}.model.safetensors"
    saved = {path: path.read_bytes() for path in (state, model, latest)}

    def resume(expected_status, *expected):
        status, output = run("train", "--resume", "--out", folder)
        assert status == expected_status and all(text in output for text in expected), f"{expected}: {status}\n{output}"

    random.seed(3)
    for path, raw in saved.items():
        for _ in range(10):
            flipped = bytearray(raw)
            flipped[random.randrange(len(raw))] ^= 1 << random.randrange(8)
            path.write_bytes(flipped)
            resume(1, str(folder))
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        resume(1, path.name, "checksum")
        path.write_bytes(raw)

    # As a version before the checksums wrote: one line, and files that do not speak of it.
    for path in (state, model):
        tensors, metadata = read_safetensors(path)
        for key in ("form", "layout", "signs"):
            metadata.pop(key, None)
        write_safetensors(path, tensors, metadata)
    latest.write_text(step + "\n")
    old = state.read_bytes()
    for key, value, expected in [
        ("--momentum", "5", "--momentum: 5 is not in [0, 1)"),
        ("--momentum", "nan", "--momentum: nan is not in [0, 1)"),
        ("--decays", "x", "--decays: x is not one of all weights"),
        ("--batch", "0", "--batch: 0 is not in [1, 1e+06]"),
        ("--batch", "-3", "--batch: -3 is not in [1, 1e+06]"),
        ("--lr", "inf", "--lr: inf is not in (0, 1e+30)"),
        ("--weight-decay", "-1", "--weight-decay: -1 is not in [0, 1000]"),
        ("--epochs", "-1", "--epochs: -1 is not in [0, 1e+06]"),
        ("--limit", "-5", "--limit: -5 is not in"),
        ("--device", "tpu", "--device: tpu is not one of cpu cuda"),
        ("--net", "vgg", "--net: vgg is not one of plainnet"),
        ("--dataset", "imagenet", "--dataset: imagenet is not one of digits"),
        ("--seed", "1x", "--seed: expected a whole number"),
        ("position", str(2**63 - 1), "found epoch 2, batch 9223372036854775807"),
        ("position", "-1", "batch -1"),
        ("position", "1", "of 2 batches"),
        ("epoch", "3", "expected an epoch in 0 ... 2"),
        ("epoch", "1", "found epoch 1, batch 0"),
        ("next step", "3", "step 3"),
        ("samples", "7", "expected 0 samples"),
        ("correct", "1", "1 correct"),
        ("loss", "nan", "loss nan"),
        ("seconds", "-1", "seconds -1"),
        ("processor_seconds", "inf", "and inf"),
    ]:
        tensors, metadata = read_safetensors(state)
        metadata[key] = value
        write_safetensors(state, tensors, metadata)
        resume(1, state.name, expected)
        state.write_bytes(old)
    resume(0, "Results are in")

    raw = model.read_bytes()
    tensors, metadata = read_safetensors(model)
    for key, value in [("layout", "cols x rows"), ("signs", "W x + c"), ("written by", "detrame 99.0.0")]:
        write_safetensors(work / "other", tensors, {**metadata, key: value})
        status, output = run("evaluate", "--checkpoint", work / "other", "--limit", "1")
        assert status == 1 and f"{key}: expected" in output and value in output, output
    assert raw == model.read_bytes()


def formats(work):
    """Data files named with a dot, compressed or not; images of U8, labels of every whole number, foreign tensors."""
    data = work / "data"
    data.mkdir()
    for what in ("images-idx3", "labels-idx1"):
        raw = (DIGITS / f"digits-{what}-ubyte").read_bytes()
        dotted = f"digits-{what}-ubyte".replace("-idx", ".idx")
        (data / dotted).write_bytes(raw)
        (data / f"digits-{what}-ubyte.gz").write_bytes(gzip.compress(raw) + bytes(512))
    train = ["train", *TWIN[:-6], "--epochs", "1", "--lr", "0.05", "--threads", "1"]
    for name in ("gz", "dots"):  # the first names that are found count
        succeed(*train, "--data", data, "--out", work / name)
        for file in data.glob("*.gz"):
            file.unlink()
    succeed(*train, "--out", work / "plain")
    assert tensors_of(work / "gz") == tensors_of(work / "dots") == tensors_of(work / "plain")

    model = work / "plain" / "model.safetensors"
    metadata = read_safetensors(model)[1]
    assert metadata["T"] == "2" and metadata["signs"].startswith("W x - c; ") and "layout" in metadata
    pixels = (DIGITS / "digits-images-idx3-ubyte").read_bytes()[16:16 + 3 * 64]
    foreign = {"a": ("BF16", [3], bytes(6)), "b": ("I32", [2], bytes(8)), "c": ("U8", [1], b"x"),
               "d": ("BOOL", [1], b"\1")}
    images = {"F32": ("F32", [3, 1, 8, 8], struct.pack("<192f", *(p / 255 for p in pixels))),
              "U8": ("U8", [3, 1, 8, 8], pixels)}
    for name, tensor in images.items():
        write_safetensors(work / "in", {"images": tensor, **foreign})
        succeed("predict", "--checkpoint", model, "--input", work / "in", "--output", work / name)
    assert read_safetensors(work / "F32") == read_safetensors(work / "U8")
    for pixel in 7., -.5, float("inf"):
        write_safetensors(work / "in", {"images": ("F32", [1, 1, 8, 8], struct.pack("<64f", *[0.5] * 63, pixel))})
        status, output = run("predict", "--checkpoint", model, "--input", work / "in", "--output", work / "x")
        assert status == 1 and "F32 in [0, 1], found" in output and "in image 0; bytes" in output, output
    for name, kind in {"I64": "q", "I32": "i", "U8": "B", "I16": "h", "U64": "Q"}.items():
        write_safetensors(work / "in", {"images": images["U8"], **foreign,
                                        "labels": (name, [3], struct.pack(f"<3{kind}", 0, 1, 9))})
        succeed("gradient", "--checkpoint", model, "--input", work / "in", "--output", work / f"g{name}")
        assert read_safetensors(work / f"g{name}") == read_safetensors(work / "gI64"), name
    for labels, expected in [(("F32", [3], bytes(12)), "expected whole numbers, I8 ... I64 or U8 ... U64, found F32"),
                             (("I32", [3], struct.pack("<3i", 0, -1, 1)), "expected labels in 0 ... 9, found -1"),
                             (("U64", [3], struct.pack("<3Q", 0, 2**64 - 1, 1)), "expected whole numbers below 2^63"),
                             (("U8", [2], bytes(2)), "expected 3 whole numbers, found 2")]:
        write_safetensors(work / "in", {"images": images["U8"], "labels": labels})
        status, output = run("gradient", "--checkpoint", model, "--input", work / "in", "--output", work / "x")
        assert status == 1 and expected in output, output

    tensors = read_safetensors(model)[0]
    write_safetensors(work / "more", {**tensors, **foreign}, metadata)
    succeed("predict", "--checkpoint", work / "more", "--input", work / "in", "--output", work / "x")
    assert read_safetensors(work / "x") == read_safetensors(work / "U8")

    summary = work / "plain" / "summary.json"
    summary.write_bytes(summary.read_bytes() + b"\0 and more")
    status, output = run("table", "--results", work)
    assert status == 1 and "summary.json: expected the summary of a run, found a byte 00" in output, output


def trained_twin(work):
    """A twin on the digits that has learnt a little, as a file."""
    succeed("train", "--net", "detrame-plainnet", "--steps", "2", "--epochs", "3", "--batch", "32", "--limit", "800", "--threads", "2", "--out", work / "model")
    return work / "model" / "model.safetensors"


def test_pixels():
    """The digits that are tested on, pixels in [0, 1]."""
    return [p / 16 for p in (DIGITS / "digits-images-idx3-ubyte").read_bytes()[16:][-360 * 64:]]


def predicted(work, model, pixels):
    """The label of each image; -1 where it is not unique."""
    write_safetensors(work / "in", {"images": ("F32", [len(pixels) // 64, 1, 8, 8], struct.pack(f"<{len(pixels)}f", *pixels))})
    succeed("predict", "--checkpoint", model, "--input", work / "in", "--output", work / "logits")
    raw = read_safetensors(work / "logits")[0]["logits"][2]
    scores = [struct.unpack_from("<10f", raw, 40 * i) for i in range(len(raw) // 40)]
    return [row.index(max(row)) if row.count(max(row)) == 1 else -1 for row in scores]


def lines_of(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def share_changed(before, now):
    return sum(a >= 0 and a != b for a, b in zip(before, now)) / len(before)


def noise(work):
    """Noise has the energy that it should, changes more labels the larger it is, and is the same whatever computes it."""
    model = trained_twin(work)
    pixels = test_pixels()[:120 * 64]
    output = succeed("noise", "--checkpoint", model, "--rho", "0,.03,3", "--seeds", "1..3", "--limit", 120, "--threads", 1,
                     "--out", work / "one")
    again = succeed("noise", "--checkpoint", work / "model", "--rho", "0,.03,3", "--seeds", "1..3", "--limit", 120,
                    "--threads", 2, "--out", work / "two")
    rows = lines_of(work / "one" / "noise.csv")
    assert rows == lines_of(work / "two" / "noise.csv") and output.split("Results")[0] == again.split("Results")[0]
    assert len(rows) == 2 * 3 * 3 * 2, len(rows)
    mean = float(read_safetensors(model)[1]["mean"])
    for energy, part in [("raw", 0), ("centred", mean)]:
        mine = [row for row in rows if row["energy"] == energy]
        total = sum((p - part) ** 2 for p in pixels)
        for row in mine:
            expected = 255 * (float(row["rho"]) * total / len(pixels)) ** .5
            assert abs(float(row["grey_levels"]) - expected) <= 1e-5 * expected, (row, expected)
        changed = [statistics.mean(float(row["changed"]) for row in mine if float(row["rho"]) == rho) for rho in (0, .03, 3)]
        assert 0 == changed[0] < changed[1] < changed[2] and changed[2] > .3, changed
        assert all(row["accuracy"] == row["clean_accuracy"] for row in mine if row["rho"] == "0")
        free, clipped = ([row["accuracy"] for row in mine if row["rho"] == "3" and row["clipped"] == c] for c in "01")
        assert free != clipped, (free, clipped)
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()[8:][-360:][:120]
    right = sum(a == b for a, b in zip(predicted(work, model, pixels), labels)) / 120
    assert float(rows[0]["clean_accuracy"]) == right, (rows[0], right)
    summary = json.loads((work / "one" / "summary.json").read_text())
    assert summary["perturbation"] == "noise" and len(summary["rows"]) == len(rows)
    in_a_shell(summary["command"].replace(str(work / "one"), str(work / "three")), work)
    assert lines_of(work / "three" / "noise.csv") == rows
    assert "detrame-plainnet 3, T = 2, digits" in succeed("table", "--results", work).split("Figure 4")[1]
    before = (work / "model" / "summary.json").read_text()
    for arguments, expected, text in [
        (["--rho", "1,x"], 2, "--rho: 1,x is no list of numbers"),
        (["--rho", "-1"], 2, "--rho"),
        (["--rho", ".1,0.1"], 2, "is no list of numbers in [0, 1e+30], each once"),
        (["--seeds", "1,1"], 2, "is no list of at most"),
        (["--seed", "1", "--seeds", "2"], 2, "--seed"),
        (["--limit", "-1"], 2, "--limit"),
        (["--out", ""], 2, "--out: is empty, must be the name of a folder"),
        (["--limit", "9", "--out", work / "model"], 1, "its latest is of something else: name another folder"),
    ]:
        status, output = run("noise", "--checkpoint", model, *arguments)
        assert status == expected and text in output, (arguments, status, output)
    assert (work / "model" / "summary.json").read_text() == before
    status, output = run("noise")
    assert status == 2 and "--checkpoint is required" in output, output


def universal(work):
    """A universal perturbation keeps to its radius, does what is said of it, and goes on with the same bits after a stop."""
    model = trained_twin(work)
    xi, images = .2, 120
    arguments = ["attack", "--checkpoint", model, "--xi", xi, "--images", images, "--limit", 150, "--passes", 2, "--delta", ".05",
                 "--seeds", "1,4"]
    begin = time.monotonic()
    output = succeed(*arguments, "--threads", 1, "--out", work / "one")
    whole = time.monotonic() - begin
    rows, passes = lines_of(work / "one" / "attack.csv"), lines_of(work / "one" / "passes.csv")
    assert [row["seed"] for row in rows] == ["1", "4"] and "over 2 seeds, %: built" in output, output
    pixels = test_pixels()[:150 * 64]
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()[8:][-360:][:150]
    clean = predicted(work, model, pixels)
    for row in rows:
        tensors, metadata = read_safetensors(work / "one" / f"v-xi0.2-seed{row['seed']}.safetensors")
        dtype, shape, raw = tensors["v"]
        v = struct.unpack("<64f", raw)
        assert (dtype, shape) == ("F32", [1, 8, 8]) and 0 < max(map(abs, v)) <= xi and metadata["units"] == "pixels of [0, 1]"
        assert abs(float(row["l_inf"]) - max(map(abs, v))) < 1e-9 and abs(float(row["l2"]) - sum(x * x for x in v) ** .5) < 1e-6
        energy = sum(p * p for p in pixels) / 150
        assert abs(float(row["of_energy"]) / (sum(x * x for x in v) / energy) - 1) < 1e-5
        clipped = predicted(work, model, [min(max(p + v[i % 64], 0), 1) for i, p in enumerate(pixels)])
        assert abs(float(row["changed_clipped"]) - share_changed(clean, clipped)) <= 1 / 150 + 1e-9, row  # sums in double here
        assert abs(float(row["accuracy_clipped"]) - sum(a == b for a, b in zip(clipped, labels)) / 150) <= 1 / 150 + 1e-9
        assert float(row["clean_accuracy"]) == sum(a == b for a, b in zip(clean, labels)) / 150
        own = [float(line["changed_built"]) for line in passes if line["seed"] == row["seed"]]
        assert len(own) == int(row["passes"]) <= 2 and float(row["changed_built"]) == max(own), (row, own)
        assert float(row["changed"]) > float(row["changed_random"]), row
        picture = (work / "one" / f"v-xi0.2-seed{row['seed']}.pgm").read_bytes()
        assert picture.startswith(b"P5 8 8 255\n") and len(picture) == 11 + 64 and (0 in picture[11:] or 255 in picture[11:])
    for text in ["51 grey levels", "as the network reads it", "clean accuracy", "clipped to [0, 1]", "random +-xi", "discarded"]:
        assert text in output, (text, output)
    summary = json.loads((work / "one" / "summary.json").read_text())
    assert summary["rows"][0]["changed"] == float(rows[0]["changed"])
    table = succeed("table", "--results", work)
    assert "xi  0.2     pixels, p = inf" in table.split("Figure 3")[1] and "unit of the paper's xi\nis not published" in table, table

    # Stopped and gone on with, on other threads.
    random.seed(5)
    stops = 0
    command = [PROGRAM, *map(str, arguments), "--threads", "2", "--resume", "--out", str(work / "stopped")]
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output, _ = process.communicate(timeout=random.uniform(.1, .5) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
            output, _ = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == 130 and "To go on:" in output, (process.returncode, output)
        stops += 1
        command = [PROGRAM, *shlex.split(output.rstrip().split("\n")[-1])[1:]]
    assert process.returncode == 0 and stops > 1, (process.returncode, stops)
    for name in "attack.csv", "passes.csv", "v-xi0.2-seed1.safetensors", "v-xi0.2-seed4.safetensors", "v-xi0.2-seed1.pgm":
        mine, theirs = ((work / folder / name).read_bytes() for folder in ("stopped", "one"))
        assert mine == theirs, name

    plain = ["attack", "--checkpoint", model]
    for more, status, text in [
        ([], 2, "--xi is required for --method universal"),
        (["--xi", "0"], 2, "--xi: 0 is no list of numbers in (0, 1e+30)"),
        (["--xi", ".1", "--delta", "1"], 2, "--delta: 1 is not in (0, 1)"),
        (["--xi", ".1", "--p", "1"], 2, "--p: 1 not in {2,inf}"),
        (["--xi", ".1", "--method", "cw"], 2, "--method: cw not in {universal"),
        (["--xi", ".1,.2,.1", "--images", "9", "--limit", "9"], 2, "is no list of numbers in (0, 1e+30), each once"),
        (["--method", "deepfool", "--seeds", "1..2", "--limit", "9"], 2, "--seeds: --method deepfool has none; these have: universal pgd apgd"),
        (["--xi", ".1", "--images", "9", "--limit", "9", "--out", ""], 2, "--out: is empty"),
        (["--xi", ".1", "--images", "9", "--limit", "9", "--out", work / "model"], 1, "its latest is of something else: name another folder"),
        (["--xi", ".1", "--restarts", "2"], 2, "--restarts: --method universal has none; these have: apgd"),
        (["--method", "deepfool", "--xi", ".1"], 2, "--xi: --method deepfool has none"),
        (["--xi", ".1", "--as-published", "--passes", "3"], 2, "--passes: --as-published has no bound"),
        (["--xi", ".1", "--as-published", "--inner", "linf"], 2, "--inner linf: l2 is --as-published"),
        (["--xi", ".1", "--resume"], 2, "--out"),
        (["--xi", ".1", "--images", "2000"], 1, "--images 2000: there are 1437 images to train on"),
        (["--resume", "--out", work / "none"], 1, "there is no attack to go on with"),
        (["--xi", ".2", "--out", work / "one"], 1, "holds an attack: --resume goes on with it"),
        (["--xi", ".3", "--resume", "--out", work / "one"], 1, "holds an attack with --xi 0.2, which cannot become 0.3"),
    ]:
        found, output = run(*plain, *more)
        assert found == status and text in output, (more, found, output)
    (work / "damaged").mkdir()
    for option, value, text in [("--xi", "x", "--xi: x is no list of numbers in (0, 1e+30)"), ("--xi", "-1", "--xi: -1 is no list"),
                                ("--seeds", "1,1", "--seeds: 1,1 is no list of at most 1000"), ("--delta", "2", "--delta: 2 is not in (0, 1)")]:
        set_metadata(work / "one" / "state.safetensors", work / "damaged" / "state.safetensors", **{option: value})
        status, output = run("attack", "--checkpoint", model, "--resume", "--out", work / "damaged")
        assert status == 1 and f"state.safetensors: __metadata__: {text}" in output, (status, output)
    succeed("train", "--net", "plainnet", "--epochs", "1", "--limit", "100", "--out", work / "other")
    status, output = run("attack", "--checkpoint", work / "other", "--resume", "--out", work / "one")
    assert status == 1 and "holds an attack on another model" in output, output
    assert not (work / "none").exists()

    # What the network reads, and p = 2; in pixels that is as much as its deviation says.
    deviation = float(read_safetensors(model)[1]["deviation"])
    few = ["attack", "--checkpoint", model, "--images", 60, "--limit", 60, "--passes", 1]
    output = succeed(*few, "--xi", ".5", "--units", "network", "--out", work / "network")
    row, = lines_of(work / "network" / "attack.csv")
    assert .4 * deviation < float(row["l_inf"]) <= .5 * deviation * (1 + 1e-6), (row, deviation)
    assert f"{255 * .5 * deviation:.4g} grey levels by channel" in output, output
    succeed(*few, "--xi", "1.5", "--p", "2", "--inner", "linf", "--out", work / "two")
    row, = lines_of(work / "two" / "attack.csv")
    assert .7 < float(row["l2"]) <= 1.5, row


def whole_and_stopped(work, arguments, share, good):
    """Runs a command whole, in the folder `whole`, and then stopped by SIGTERM, at first after that share of its time, until one is
    that leaves a folder which is good: it, and the arguments of the command that it printed to go on."""
    begin = time.monotonic()
    succeed(*arguments, "--out", work / "whole")
    whole = time.monotonic() - begin
    for trial in range(10):
        folder = work / f"stopped{trial}"
        process = subprocess.Popen([PROGRAM, *map(str, arguments), "--out", str(folder)], stdout=subprocess.PIPE, text=True)
        time.sleep((share + .05 * trial) * whole)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
        if process.returncode == 130 and good(folder):
            return folder, shlex.split(output.rstrip().split("\n")[-1])[1:]
    raise AssertionError(output)


def attacks(work):
    """Attacks on each image keep to their radius; stronger ones leave less accuracy; they go on with the same bits."""
    model = trained_twin(work)
    base = ["attack", "--checkpoint", model, "--limit", 90, "--threads", 2]

    def line_of(name, *arguments):
        output = succeed(*base, *arguments, "--out", work / name)
        row, = lines_of(work / name / "attack.csv")
        assert f"{100 * float(row['changed']):.2f}" in output, (row, output)
        return {key: float(value) for key, value in row.items() if value and value[0].isdigit()}

    near = line_of("df", "--method", "deepfool", "--p", "2")
    far = line_of("df far", "--method", "deepfool", "--p", "2", "--overshoot", ".5")
    assert near["changed"] > .97 and near["accuracy"] < .25 and near["l2"] * 1.2 < far["l2"] < near["l2"] * 1.5, (near, far)
    largest = line_of("df inf", "--method", "deepfool", "--p", "inf")
    assert largest["l_inf"] < near["l_inf"] and largest["l2"] > near["l2"], (largest, near)
    xi = .12
    rows = [line_of(name, "--method", name, "--xi", xi) for name in ("fgsm", "pgd", "apgd")]
    for row in rows:
        assert .9 * xi < row["l_inf"] <= xi and row["clean_accuracy"] == near["clean_accuracy"], row
        assert row["accuracy"] < row["clean_accuracy"] and row["accuracy_clipped"] >= row["accuracy"] - .03, row
    assert rows[0]["accuracy"] >= rows[1]["accuracy"] - .02 and rows[1]["accuracy"] >= rows[2]["accuracy"] - .02, rows
    row = line_of("l2", "--method", "apgd", "--p", "2", "--xi", ".8", "--loss", "dlr", "--restarts", "2", "--steps", "20")
    assert .5 < row["l2"] <= .8 * (1 + 1e-9), row
    weak = line_of("weak", "--method", "pgd", "--xi", xi, "--steps", "1", "--step-size", ".001")
    assert weak["accuracy"] > rows[1]["accuracy"], (weak, rows[1])

    # Stopped after a batch of 200, and gone on with.
    arguments = ["attack", "--checkpoint", model, "--method", "pgd", "--xi", xi, "--steps", "60"]
    folder, go_on = whole_and_stopped(work, arguments, .2, lambda folder: True)
    done = read_safetensors(folder / "state.safetensors")[0]["run 1.images"][1][0]
    assert done in (200, 360), done
    succeed(*go_on)
    assert (folder / "attack.csv").read_text() == (work / "whole" / "attack.csv").read_text()


def certificates(work):
    """Radii are those of margins and of a constant that is 1; no attack succeeds within one; what is printed is in the files."""
    if "--net certified" not in succeed("info"):
        print("skipped: no certified network is compiled in")
        sys.exit(77)
    model = work / "model" / "model.safetensors"
    succeed("train", "--net", "certified", "--depth", "2", "--optimiser", "adamw", "--lr", ".002", "--weight-decay", "0",
            "--epochs", "2", "--batch", "32", "--threads", "2", "--out", work / "model")
    limit = 40
    base = ["certify", "--checkpoint", model, "--limit", limit]
    output = succeed(*base, "--threads", 1, "--out", work / "one")
    rows, summary = lines_of(work / "one" / "certify.csv"), json.loads((work / "one" / "summary.json").read_text())
    assert len(rows) == 3 * limit, len(rows)
    assert "Proved: same label for every image of the scalar within r, by the network" in output, output
    assert summary["certificate"] == "certify" and summary["claim"] == "same_label" and summary["why_not_more"] == "", summary
    assert summary["without_label"] == 0 and summary["contradicted"] == 0 and summary["other_labels_in_float"] == 0, summary

    # The layers are 1-Lipschitz, or the mean of n pixels, 1 / sqrt(n); the head has unit rows. Scores of float are others than the
    # twin's by some 1e-3: a Theta from above is larger there.
    constants = [layer["lipschitz"] for layer in summary["layers"]]
    assert all(0 < c < 1 + 1e-9 for c in constants[:-1]) and abs(constants[-1]) > 1, summary["layers"]
    before = 1
    for constant in constants[:-1]:
        before *= constant
    (_, (classes, inputs), raw), = [t for name, t in tensors_of(work / "model").items() if name.endswith(".W")]
    assert classes == 10
    weights = [struct.unpack_from(f"<{inputs}f", raw, 4 * inputs * i) for i in range(10)]
    unit = [[w / sum(v * v for v in row) ** .5 for w in row] for row in weights]
    pixels = test_pixels()[:limit * 64]
    write_safetensors(work / "in", {"images": ("F32", [limit, 1, 8, 8], struct.pack(f"<{len(pixels)}f", *pixels))})
    succeed("predict", "--checkpoint", model, "--input", work / "in", "--output", work / "logits")
    raw = read_safetensors(work / "logits")[0]["logits"][2]
    labels = (DIGITS / "digits-labels-idx1-ubyte").read_bytes()[8:][-360:][:limit]
    for i in range(limit):
        row, = {(r["label"], r["radius"], r["radius_in_real_arithmetic"], r["target"]) for r in rows if r["image"] == str(i)}
        y = struct.unpack_from("<10f", raw, 40 * i)
        label = y.index(max(y))
        assert int(row[0]) == label and int(row[3]) == labels[i], (i, row)
        expected = min((y[label] - y[j]) / before / sum((a - b) ** 2 for a, b in zip(unit[label], unit[j])) ** .5
                       for j in range(10) if j != label)
        radius, real = float(row[1]), float(row[2])
        assert abs(radius - expected) <= 3e-3 and radius <= real <= radius + 1e-8, (i, radius, real, expected)

    # Files agree with themselves, and certificates with attacks.
    steps = [36 / 255, 72 / 255, 108 / 255]
    assert [line["epsilon"] for line in summary["rows"]] == steps
    for line, epsilon in zip(summary["rows"], steps):
        mine = [row for row in rows if float(row["epsilon"]) == epsilon]
        right = [row for row in mine if row["label"] == row["target"]]
        for row in mine:
            assert row["claim"] == "same_label" and (row["certified"] == "1") == (row in right and float(row["radius"]) >= epsilon), row
            for label, distance in [("attacked_label", "distance"), ("not_clipped_label", "not_clipped_distance")]:
                assert 0 < float(row[distance]) <= epsilon * (1 + 1e-9), row
                assert float(row["radius"]) < float(row[distance]) or row[label] == row["label"], row
        counts = [len(right), sum(row["certified"] == "1" for row in mine), sum(row["attacked_label"] == row["target"] for row in right),
                  sum(row["not_clipped_label"] == row["target"] for row in right)]
        assert [line[key] for key in ("clean_accuracy", "certified", "attacked", "attacked_not_clipped")] == [c / limit for c in counts]
        assert counts[1] <= counts[3] <= counts[2] <= counts[0] and counts[0] > limit / 4, counts
        assert f"{round(255 * epsilon)}/255" in output and f"{100 * counts[1] / limit:.2f}" in output, output
    assert summary["rows"][0]["certified"] > 0 and summary["rows"][2]["attacked"] < summary["rows"][2]["clean_accuracy"], summary
    in_a_shell(summary["command"].replace(str(work / "one"), str(work / "two")), work)  # with all threads
    assert lines_of(work / "two" / "certify.csv") == rows

    # Stopped after some images, and gone on with.
    more = ["certify", "--checkpoint", model, "--epsilon", ".2", "--threads", 1]
    def done(folder):
        return read_safetensors(folder / "certify.safetensors")[0]["certified images"][1][0]
    folder, go_on = whole_and_stopped(work, more, .4, lambda folder: done(folder) > 0)
    assert done(folder) in range(25, 360, 25)
    status, refused = run(*more, "--out", folder)
    assert status == 1 and "holds certificates: --resume goes on with them" in refused, (status, refused)
    status, refused = run(*more, "--out", folder, "--resume", "--attack", "apgd")
    assert status == 1 and "holds certificates with --attack pgd, which cannot become apgd" in refused, (status, refused)
    for number, text in [(1e9, "radii no larger than in real arithmetic"), (float("nan"), "radii no larger")]:
        tensors, metadata = read_safetensors(folder / "certify.safetensors")
        dtype, shape, numbers = tensors["certified images"]
        (work / "spoilt").mkdir(exist_ok=True)
        changed = numbers[:24] + struct.pack("<d", number) + numbers[32:]
        write_safetensors(work / "spoilt" / "certify.safetensors", {"certified images": (dtype, shape, changed)}, metadata)
        status, refused = run(*more, "--out", work / "spoilt", "--resume")
        assert status == 1 and text in refused, (status, refused)
    status, refused = run("noise", "--checkpoint", model, "--out", folder)
    assert status == 1 and "its certify.safetensors is of something else" in refused, (status, refused)
    succeed(*go_on)
    assert (folder / "certify.csv").read_text() == (work / "whole" / "certify.csv").read_text()

    # No attack, stronger ones; a network of which nothing is proved; what is no model, or no option.
    succeed(*base, "--attack", "none", "--epsilon", "1/4", "--out", work / "none")
    quarter = lines_of(work / "none" / "certify.csv")
    assert {(row["epsilon"], row["attacked_label"], row["distance"]) for row in quarter} == {("0.25", "", "")}
    assert [row["radius"] for row in quarter] == [row["radius"] for row in rows if row["epsilon"] == rows[0]["epsilon"]]
    succeed("certify", "--checkpoint", model, "--limit", 20, "--attack", "apgd", "--epsilon", ".3")
    output = succeed("certify", "--checkpoint", trained_twin(work / "twin"), "--limit", limit, "--out", work / "plain")
    plain = json.loads((work / "plain" / "summary.json").read_text())
    if plain["claim"] == "none":
        assert "No certificate: " in output and plain["why_not_more"] in output and plain["rows"][0]["certified"] is None, output
        assert {(row["radius"], row["certified"]) for row in lines_of(work / "plain" / "certify.csv")} == {("", "")}
    assert 0 < plain["rows"][2]["attacked"] < plain["rows"][0]["clean_accuracy"], plain
    assert "Table 3" in succeed("table", "--results", work)
    for arguments, text in [(["--epsilon", "0"], "--epsilon: 0 is no list of numbers"), (["--epsilon", "1/0"], "--epsilon"),
                            (["--epsilon", "36/"], "--epsilon"), (["--epsilon", "1,-1"], "--epsilon"),
                            (["--attack", "fgsm"], "--attack"), (["--limit", "-1"], "--limit")]:
        status, output = run(*base, *arguments)
        assert status == 2 and text in output, (arguments, status, output)
    # Two largest scores are no label, as everywhere.
    tensors, metadata = read_safetensors(model)
    head = max(name for name in tensors if name.endswith("W"))
    dtype, shape, numbers = tensors[head]
    tied = {**tensors, head: (dtype, shape, numbers[:len(numbers) // 10] * 10)}
    for name in tensors:
        if name == head[:-1] + "c":
            tied[name] = (tensors[name][0], tensors[name][1], tensors[name][2][:4] * 10)
    write_safetensors(work / "tied", tied, metadata)
    succeed("certify", "--checkpoint", work / "tied", "--limit", 30, "--out", work / "ties")
    ties = json.loads((work / "ties" / "summary.json").read_text())
    assert ties["without_label"] == 1 and {(row["clean_accuracy"], row["attacked"]) for row in ties["rows"]} == {(0, 0)}, ties
    raw = model.read_bytes()
    name = next(name for name in tensors if name.endswith("W"))
    dtype, shape, numbers = tensors[name]
    for changed, text in [({**tensors, name: (dtype, shape, struct.pack("<f", float("nan")) + numbers[4:])}, f"an entry of {name} is nan"),
                          ({key: t for key, t in tensors.items() if key != name}, name)]:
        write_safetensors(work / "damaged", changed, metadata)
        status, output = run("certify", "--checkpoint", work / "damaged", "--limit", 5, "--out", work / "nothing")
        assert status == 1 and text in output and not (work / "nothing").exists(), (status, output)
    (work / "damaged").write_bytes(raw[:-3])
    status, output = run("certify", "--checkpoint", work / "damaged", "--limit", 5)
    assert status == 1 and "damaged" in output, (status, output)


def on_a_device(work):
    """A run with --device cuda is one on the CPU but for rounding. Few images: an emulator of a device takes long."""
    status, output = run("train", *TWIN[:-6], "--epochs", "0", "--device", "cuda", "--out", work / "none")
    if "there is no CUDA device here" in output:
        print("skipped: no CUDA device here")
        sys.exit(77)
    assert status == 0, output

    # The parameters after three steps: an emulator would take minutes for the test images, so it is interrupted.
    few = [*TWIN, "--batch", "6", "--out"]
    few[few.index("--limit") + 1], few[few.index("--epochs") + 1] = "18", "1"
    del few[few.index("--threads"):few.index("--threads") + 2]
    process = subprocess.Popen([PROGRAM, "train", *few, work / "there", "--device", "cuda", "--save-every", "2"],
                               stdout=subprocess.PIPE, text=True)
    while not (work / "there" / "latest").exists() or step_of(work / "there") != "step-2":
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode in (0, 130) and "batches of 6, a CUDA device" in output, (process.returncode, output)
    succeed("train", *few, work / "here")
    model = work / "there" / "step-3.model.safetensors"
    check_close(tensors_of(work / "here"), read_safetensors(model)[0])

    # Scores and gradients of one model.
    pixels = (DIGITS / "digits-images-idx3-ubyte").read_bytes()[16:16 + 3 * 64]
    write_safetensors(work / "images", {"images": ("F32", [3, 1, 8, 8], struct.pack("<192f", *(p / 16 for p in pixels))),
                                        "labels": ("I64", [3], struct.pack("<3q", 0, 1, 2))})
    for what in "predict", "gradient":
        for device in "cpu", "cuda":
            succeed(what, "--checkpoint", model, "--input", work / "images", "--output", work / device, "--device", device)
        check_close(read_safetensors(work / "cpu")[0], read_safetensors(work / "cuda")[0])

    status, output = run("train", "--resume", "--out", work / "there", "--device", "cpu")
    assert status == 1 and "holds a run with --device cuda, which cannot become cpu" in output, output
    status, output = run("evaluate", "--checkpoint", model, "--device", "cuda", "--threads", "2")
    assert status == 2 and "--threads 2: threads are the CPU's" in output, output


def check_close(mine, theirs):
    """Tensors agree to 1e-4 of the largest entry of each."""
    assert mine.keys() == theirs.keys()
    for name, (dtype, shape, raw) in mine.items():
        assert (dtype, shape) == ("F32", theirs[name][1]), name
        numbers, others = ([x for x, in struct.iter_unpack("<f", part)] for part in (raw, theirs[name][2]))
        largest = max(map(abs, numbers))
        difference = max(abs(x - y) for x, y in zip(numbers, others, strict=True))
        assert difference <= 1e-4 * largest, (name, difference, largest)


def main():
    case = globals()[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="detrame-") as work:
        case(Path(work))


main()
