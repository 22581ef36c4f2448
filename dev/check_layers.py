#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom in include/detrame, that nothing above backend/ leans on the machine, and that whoever
opens the library's namespace has included the header that names it.

A line that must break a rule about words says why at its end: `// layering: <reason>`.
With --self-test, the checker is first shown one small tree per rule that breaks just that rule.
"""

import re
import sys
import tempfile
from pathlib import Path

# A folder may include itself and what stands here.
CHAIN = ["core", "backend", "operator", "metric", "prox", "layer", "network", "train", "robust"]
MAY_INCLUDE = {folder: set(CHAIN[:i]) for i, folder in enumerate(CHAIN)}
for folder in ["layer", "network", "train", "robust"]:
    MAY_INCLUDE[folder] |= {"exact"}
for folder in ["train", "robust"]:
    MAY_INCLUDE[folder] |= {"loss", "optim"}
for folder in ["loss", "optim", "data", "io"]:
    MAY_INCLUDE[folder] = {"core", "backend"}
MAY_INCLUDE["exact"] = {"core", "backend", "metric"}  # a verifier shares nothing with what it verifies
MAY_INCLUDE["learn"] = MAY_INCLUDE["exact"] | {"exact"}

TOP = {"detrame.hpp", "cuda.hpp"}
NO_SUCH_FOLDER = {"utils", "util", "common", "detail", "helpers", "helper", "misc"}
MACHINE = {
    "Eigen": re.compile(r"\bEigen\b|\bEIGEN_"),
    "a preprocessor condition": re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b"),
    "CUDA": re.compile(r"CUDA|\bcuda|\b__(host|device|global)__"),
    "OpenMP": re.compile(r"\bomp\b|\bomp_|_OPENMP"),
    "std::thread": re.compile(r"\bstd::j?thread\b|<thread>|<execution>"),
}
ABI, OPENS = "core/abi.hpp", re.compile(r"^\s*namespace detrame::inline DETRAME_ABI\b", re.M)
EXCUSE = re.compile(r"//\s*layering:\s*\S+")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def without_comments(text):
    """The text with comments blanked, line by line as before; a string that holds // is left alone."""
    token = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.S)
    return token.sub(lambda m: m[0] if m[0][0] == '"' else re.sub(r"[^\n]", " ", m[0]), text)


def folder_of(path):
    return path.parts[0] if len(path.parts) > 1 else path.name


def check_include(path, target, quote):
    """A sentence where `path` may not include `target`, both relative to include/detrame."""
    mine, theirs = folder_of(path), folder_of(target)
    if quote == "<":
        return f'write #include "detrame/{target}", with quotes'
    if theirs in TOP:
        return None if (mine, theirs) == ("cuda.hpp", "detrame.hpp") else f"no header of the library includes {theirs}"
    if mine in TOP:
        if mine == "detrame.hpp" and theirs in {"data", "io"}:
            return f"detrame.hpp must not include {theirs}/: its headers are included alone"
        if mine == "detrame.hpp" and target.match("cuda/*"):
            return "detrame.hpp must not include the CUDA backend: cuda.hpp does"
        return None
    if theirs != mine and theirs not in MAY_INCLUDE[mine]:
        return f"{mine}/ must not include {theirs}/"
    for one, other in [("cpu", "cuda"), ("cuda", "cpu")]:
        if one in path.parts and other in target.parts:
            return f"{mine}/{one}/ must not include {mine}/{other}/"
    return None


def check_file(root, path):
    """All sentences about one header, with line numbers."""
    text = (root / path).read_text(encoding="utf-8")
    raw, code = text.splitlines(), without_comments(text).splitlines()
    mine = folder_of(path)
    if mine not in MAY_INCLUDE and mine not in TOP:
        return [(1, f"no folder or header {mine} in the architecture")]
    machine_free = mine not in {"core", "backend"} | TOP and not {"cpu", "cuda"} & set(path.parts)

    found = []
    for number, (line, commented) in enumerate(zip(code, raw), start=1):
        include = INCLUDE.match(line)
        if include and include[2].startswith("detrame/"):
            sentence = check_include(path, Path(include[2]).relative_to("detrame"), include[1])
            if sentence:
                found.append((number, sentence))
        elif include and include[1] == '"':
            found.append((number, f'write #include "detrame/...", not "{include[2]}"'))
        if path.parts[:2] == ("backend", "cuda") and MACHINE["Eigen"].search(line):
            found.append((number, "backend/cuda/ must not mention Eigen"))
        if machine_free and not EXCUSE.search(commented):
            found += [(number, f"{mine}/ mentions {what}, which belongs to backend/")
                      for what, pattern in MACHINE.items() if pattern.search(line)]
    return found


def reaches_abi(library, path, known):
    """Whether the header, or one that it includes, includes core/abi.hpp. `known`: what was found before."""
    if path not in known:
        known[path] = False  # in a circle, nobody else's doing
        text = library / path
        known[path] = path == ABI or (text.exists() and any(
            reaches_abi(library, include[2].removeprefix("detrame/"), known)
            for include in map(INCLUDE.match, without_comments(text.read_text(encoding="utf-8")).splitlines())
            if include and include[2].startswith("detrame/")))
    return known[path]


def check(root):
    """All sentences about include/detrame under `root`."""
    library = root / "include" / "detrame"
    found, known = [], {}
    for path in sorted(library.rglob("*")):
        if path.is_dir() and path.name in NO_SUCH_FOLDER:
            found.append(f"{path.relative_to(root)}: no folder may be called {path.name}/")
        if path.suffix in {".hpp", ".cuh", ".h"}:
            found += [f"{path.relative_to(root)}:{number}: {sentence}"
                      for number, sentence in check_file(library, path.relative_to(library))]
            name, opened = str(path.relative_to(library)), OPENS.search(path.read_text(encoding="utf-8"))
            if opened and not reaches_abi(library, name, known):
                found.append(f"{path.relative_to(root)}: opens the namespace and includes {ABI} nowhere")
    return found


# --- The checker seen to fail ---------------------------------------------------------------------------------

GOOD = {
    "detrame.hpp": '#include "detrame/layer/a.hpp"\n',
    "cuda.hpp": '#include "detrame/detrame.hpp"\n#include "detrame/backend/cuda/a.hpp"\n',
    "core/a.hpp": "#if defined(__CUDACC__)\n#endif\n",
    "backend/cpu/a.hpp": '#include <Eigen/Core>\n#include "detrame/core/a.hpp"\n#pragma omp parallel\n',
    "operator/cpu/a.hpp": "#include <Eigen/Core>\n",
    "exact/a.hpp": '#include "detrame/metric/a.hpp"\n',
    "learn/a.hpp": '#include "detrame/exact/a.hpp"\n',
    "layer/a.hpp": '#include "detrame/exact/a.hpp"\n#include "detrame/core/a.hpp"\n',
    "optim/a.hpp": '#include "detrame/core/b.hpp"\nnamespace detrame::inline DETRAME_ABI {}\n',
    "core/b.hpp": '#include "detrame/core/abi.hpp"\n',
    "train/a.hpp": '// Eigen, CUDA and omp in a comment\n#include "detrame/optim/a.hpp"\n/* #ifdef */\n',
    "loss/a.hpp": "#include <Eigen/Core>  // layering: the test of the excuse\n",
}
BAD = {
    "core/ must not include backend/": ("core/a.hpp", '#include "detrame/backend/a.hpp"'),
    "metric/ must not include prox/": ("metric/a.hpp", '#include "detrame/prox/a.hpp"'),
    "prox/ must not include exact/": ("prox/a.hpp", '#include "detrame/exact/a.hpp"'),
    "exact/ must not include operator/": ("exact/a.hpp", '#include "detrame/operator/a.hpp"'),
    "exact/ must not include prox/": ("exact/a.hpp", '  #  include "detrame/prox/a.hpp"'),
    "learn/ must not include prox/": ("learn/a.hpp", '#include "detrame/prox/a.hpp"'),
    "exact/ must not include learn/": ("exact/a.hpp", '#include "detrame/learn/a.hpp"'),
    "network/ must not include loss/": ("network/a.hpp", '#include "detrame/loss/a.hpp"'),
    "loss/ must not include layer/": ("loss/a.hpp", '#include "detrame/layer/a.hpp"'),
    "data/ must not include train/": ("data/a.hpp", '#include "detrame/train/a.hpp"'),
    "with quotes": ("train/a.hpp", "#include <detrame/core/a.hpp>"),
    "must not include data/": ("detrame.hpp", '#include "detrame/data/a.hpp"'),
    "must not include io/": ("detrame.hpp", '#include "detrame/io/a.hpp"'),
    "must not include the CUDA backend": ("detrame.hpp", '#include "detrame/backend/cuda/a.hpp"'),
    "no header of the library includes detrame.hpp": ("train/a.hpp", '#include "detrame/detrame.hpp"'),
    "must not include backend/cuda/": ("backend/cpu/a.hpp", '#include "detrame/backend/cuda/a.hpp"'),
    "backend/cuda/ must not mention Eigen": ("backend/cuda/a.hpp", "#include <Eigen/Core>"),
    'not "b.hpp"': ("train/a.hpp", '#include "b.hpp"'),
    "mentions Eigen": ("prox/a.hpp", "using M = Eigen::MatrixXd;"),
    "mentions a preprocessor condition": ("prox/a.hpp", "#ifdef X\n#endif"),
    "mentions CUDA": ("layer/a.hpp", "cudaStream_t s;"),
    "mentions OpenMP": ("train/a.hpp", "#pragma omp parallel for"),
    "mentions std::thread": ("data/a.hpp", "std::thread t;"),
    "includes core/abi.hpp nowhere": ("prox/a.hpp", '#include "detrame/core/a.hpp"\nnamespace detrame::inline DETRAME_ABI::x {}'),
    "no folder or header extra": ("extra/a.hpp", ""),
    "no folder may be called detail/": ("prox/detail/a.hpp", ""),
}


def write_tree(root, files):
    for name, text in files.items():
        path = Path(root) / "include" / "detrame" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return Path(root)


def self_test():
    with tempfile.TemporaryDirectory() as root:
        found = check(write_tree(root, GOOD))
        assert not found, f"the good tree is refused: {found}"
    for sentence, (name, text) in BAD.items():
        with tempfile.TemporaryDirectory() as root:
            found = check(write_tree(root, {name: text}))
            ok = len(found) == 1 and sentence in found[0]
            assert ok, f"{name}: {text!r}: wanted {sentence!r}, found {found}"
    print(f"self-test: {len(BAD)} broken trees refused, each for its own reason")


def main():
    if "--self-test" in sys.argv[1:]:
        self_test()
    found = check(Path(__file__).resolve().parent.parent)
    print("\n".join(found) if found else "layers: every include goes down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
