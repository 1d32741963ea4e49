"""A training in a process of its own that dies as it is told, for 72_broken_off.ipynb.

    python dying_training.py FOLDER HOW WEIGHTS KEY=VALUE ...

HOW is '' (to its end), 'die' (after a checkpoint in the second half), or 'die at a rename' (when a folder has been moved
to a name that ends in `old`).
"""
import os
import signal
import sys

import torch

from unifex.checkpoints import Checkpoint
from unifex.learner import train_unifex

SETTINGS = dict(model_name='test_vit', img_size=None, device='cpu', n_classes=20, batch_size=16, num_workers=0, epochs=3,
                save_iter=8, ema=.9, select='no', progress=False)
rename, save = os.rename, Checkpoint.save


def die(): os.kill(os.getpid(), signal.SIGKILL)


def rename_and_die(*args):
    rename(*args)
    if args[1].name.endswith('old'): die()


def save_and_die(self, *args):
    save(self, *args)
    if self.train_iter >= 16: die()


def main(folder, how, weights, *words):
    overrides = dict(word.split('=') for word in words)
    overwrite = bool(overrides.pop('overwrite', ''))
    torch.set_num_threads(1)  # so that sums are added in the same order
    if how == 'die at a rename': os.rename = rename_and_die
    if how == 'die': Checkpoint.save = save_and_die
    settings = SETTINGS | dict(model__backbone__weights=weights, store=f'{folder}/../store') | overrides
    train_unifex('quickstart', None, folder, overwrite=overwrite, **settings)


if __name__ == '__main__': main(*sys.argv[1:])
