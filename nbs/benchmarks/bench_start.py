"""Fresh processes: importing what trains and what searches, and the help of a command."""
import os
import subprocess
import sys

from harness import bench_row, interleaved

HELP = "from unifex.cli import unifex_train\ntry: unifex_train(['--help'])\nexcept SystemExit: pass"
CODE = {
    'python': 'pass',
    'torch': 'import torch',
    'fastai': 'import fastai.learner',
    'train': 'import unifex.learner',
    'search': 'from unifex import Embedder, Index, load_run',
    'help': HELP,
}


def fresh(code: str):
    "What runs some code in a process of its own"
    return lambda: subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


def child_seconds() -> float:
    "Seconds for which processes that have ended kept a core busy"
    times = os.times()
    return times.children_user + times.children_system


def run() -> list[dict]:
    "Seconds of a core until a process can begin; fastai's are the rival's"
    seconds = interleaved({name: fresh(code) for name, code in CODE.items()}, 7, child_seconds, min)
    rival, against, floor = seconds['fastai'], 'import fastai.learner', seconds['torch']
    return [
        bench_row('import unifex.learner', seconds['train'], rival, against, floor=floor, bar=1.2),
        bench_row(CODE['search'], seconds['search'], rival, against, floor=floor, bar=1.),
        bench_row('unifex_train --help', seconds['help'], floor=seconds['python'], bar=1.),
    ]
