# SPDX-License-Identifier: Apache-2.0
"""What the scripts that draw share: matplotlib without a screen, axes with little on them, files with the same bytes in every run."""

import sys
from pathlib import Path


def pyplot():
    """matplotlib's; ends the program where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        sys.exit(f"{Path(sys.argv[0]).name} needs matplotlib (Debian: python3-matplotlib)")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "detrame"
    from matplotlib import pyplot
    return pyplot


def plain(axes):
    axes.grid(color="0.92", lw=.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure, file):
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
