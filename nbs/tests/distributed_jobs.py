"""Trainings that 74_distributed_training.ipynb runs in one process and in several, to compare what comes out.

Usage: python distributed_jobs.py FOLDER JOB [ARGUMENT]      JOB: heads, features, trainings or stopped; one rank of several by a launcher
Every job writes FOLDER/JOB-WORLD_SIZE-RANK.pt.
"""
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.torch_core import set_seed

from unifex import training
from unifex.backbones import create_backbone
from unifex.config import load_config
from unifex.datasets import dataset_root, load_dataset
from unifex.distributed import init_ranks, ranks
from unifex.features import FeatureSet, extract_features, feature_dls
from unifex.heads import create_head
from unifex.margin_model import unifex_learner
from unifex.necks import create_neck


def save(out, job, value):
    rank, world_size = ranks()
    torch.save(value, Path(out)/f'{job}-{world_size}-{rank}.pt')


def load(out, job, rank=None):
    "What a job has left: of one process, or of a rank of two"
    name = f'{job}-1-0' if rank is None else f'{job}-2-{rank}'
    return torch.load(Path(out)/f'{name}.pt', weights_only=True, map_location='cpu')


# ---- heads: made-up features, 22 steps without dropout; two steps have one row, of which rank 1 sees nothing

HEADS = {
    'ArcFace': dict(k=3),
    'AdaFace': dict(t_alpha=.01),
    'AdaCos': dict(dynamic_s=True),
    'CurricularFace': {},
    'MultiSimilarity': {},
    'SupCon': {},
    'ArcFace + 0.5*MultiSimilarity': {},
    'pml:ProxyAnchorLoss': {},
}


class BatchLosses(Callback):
    "The loss of each batch, as all ranks see it"
    order = 40

    def before_fit(self): self.all = []

    def after_batch(self):
        if self.learn.training: self.all.append(self.learn.loss.detach().clone())


def made_up_features(n=331, n_classes=40, dim=24):
    rng = np.random.default_rng(0)
    class_id = np.arange(n) % n_classes
    centers = rng.normal(size=(n_classes, dim))
    x = centers[class_id] + .8*rng.normal(size=(n, dim))
    return FeatureSet(torch.tensor(x, dtype=torch.float32), pd.DataFrame({'class_id': class_id}), pd.DataFrame())


def train_head(name, params, features, device):
    torch.manual_seed(1)
    dls = feature_dls(features, None, batch_size=33, device=device)
    embedder = SimpleNamespace(neck=create_neck('proj_layer', 24, 8, dropout=0))
    head = create_head(name, 8, 40, **params)
    losses = BatchLosses()
    learn = unifex_learner(dls, embedder, head, lr=1e-2, precision='fp32', cbs=[losses])
    with learn.no_bar(), learn.no_logging(): learn.fit(2)
    state = {k: v.clone() for k, v in learn.model.state_dict().items()}
    return {'losses': torch.stack(losses.all)} | state


def heads(out, device='cpu'):
    features = made_up_features()
    save(out, 'heads', {name: train_head(name, params, features, device) for name, params in HEADS.items()})


# ---- features: one store filled by all ranks; some pictures are there twice, one is missing

def features(out):
    table = load_dataset('sample', n_classes=20, seed=42)
    n_pictures = len(table)
    missing = table[:1].assign(image='not/there.webp')
    table = pd.concat([table, table[:5], missing], ignore_index=True)
    torch.manual_seed(1)
    backbone = create_backbone('timm', 'test_vit', pretrained=False)
    batches = []
    backbone.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    store = Path(out)/f'store-{ranks()[1]}'
    fs = extract_features(backbone, table, dataset_root('sample'), store, batch_size=16, device='cpu', progress=False)
    save(out, 'features', dict(x=fs.x, images=list(fs.table.image), failed=list(fs.failed.image),
                               passed=sum(batches), pictures=n_pictures))


# ---- trainings: pictures, and what else a configuration can ask for; batches of 11 do not halve

TRAININGS = {
    'pictures': dict(freeze=False, layer_decay=.8, epochs=2, lr=3e-3, optimizer__name='SGD'),
    'pictures, frozen first': dict(freeze=False, unfreeze='lp_ft', epochs=2, optimizer__name='SGD'),
    'SAM, clipping, average': dict(optimizer__name='SAM_AdamW', grad_clip=1., ema=.9, epochs=2),
    'accumulation, round robin': dict(accumulate=3, sampler='round_robin', epochs=2),
    'best kept': dict(patience=2, epochs=6, lr=.05),
    'batch norms': dict(freeze=False, epochs=1, model__backbone__model_name='test_efficientnet'),
}


def config(out, world_size, **values):
    small = dict(device='cpu', model__backbone__model_name='test_vit', pretrained=False, weights='', img_size=None, select='no',
                 model__neck__dropout=0, model__neck__power=None, precision='fp32', batch_size=11,
                 store=f'{out}/store-{world_size}')
    return load_config('quickstart', **(small | values))


def train(cfg, folder=None, cbs=None):
    set_seed(cfg.seed)
    backbone = training.config_backbone(cfg)
    table = load_dataset('sample', n_classes=20, seed=42)
    data = training.prepare_data(cfg, backbone, table, dataset_root('sample'))
    return training.train(cfg, data, False, folder, cbs)


def trainings(out):
    found = {}
    for name, values in TRAININGS.items():
        done = train(config(out, ranks()[1], **values))
        learn = done.learn
        backbone = [p.detach().flatten() for p in learn.model.backbone.parameters()]
        found[name] = dict(
            loss=torch.stack(learn.recorder.losses),
            vectors=torch.tensor(done.vectors),
            score=float(done.report.overall['mMP@5']),
            neck=learn.model.neck.linear.weight.detach(),
            centers=learn.model.head.weight.detach(),
            backbone=torch.cat(backbone or [torch.zeros(0)]),
        )
    save(out, 'trainings', found)


# ---- stopped: Ctrl-C, and a rank that dies

class Interrupt(Callback):
    "In the 13th step ask for Ctrl-C, or kill rank 1"
    order = 90

    def __init__(self, how, out): self.how, self.out = how, Path(out)

    def after_batch(self):
        rank = ranks()[0]
        if self.how == 'kill' and rank == 1 and self.train_iter == 13: os.kill(os.getpid(), signal.SIGKILL)
        if self.how != 'stop' or self.train_iter < 13: return
        if rank == 0: (self.out/'now').touch()
        time.sleep(.1)


def stopped(out, how):
    "A training that is stopped ('stop'), whose rank 1 is killed ('kill'), or that goes on to its end ('go')"
    learn = train(config(out, 2, ema=.9, epochs=10), f'{out}/run-{ranks()[1]}', Interrupt(how, out)).learn
    state = {k: v.clone() for k, v in learn.model.state_dict().items()}
    save(out, 'stopped', state | {'losses': torch.stack(learn.recorder.losses)})


if __name__ == '__main__':
    out, job, *args = sys.argv[1:]
    init_ranks(args[0] if job == 'heads' and args else 'cpu')
    globals()[job](out, *args)
