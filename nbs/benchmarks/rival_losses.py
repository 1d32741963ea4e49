"""Losses of open-metric-learning as heads, with its sampler: run from its own package, in our loop.

    pip install --no-deps open-metric-learning   # it asks for an older numpy than ours, and does not need it here
    pip install --no-deps gdown validators omegaconf   # it imports them
"""
import numpy as np
from oml.losses.arcface import ArcFaceLoss
from oml.losses.triplet import TripletLossWithMiner
from oml.miners.inbatch_hard_tri import HardTripletsMiner
from oml.samplers.balance import BalanceSampler
from torch import Tensor, nn
from torch.nn import functional as F

from unifex.loaders import SAMPLERS


class OMLArcFace(nn.Module):
    "Its ArcFaceLoss"
    def __init__(self, in_dim: int, n_classes: int, m: float = .5, s: float = 64):
        super().__init__()
        self.func = ArcFaceLoss(in_dim, n_classes, m, s)

    def loss(self, x: Tensor, y: Tensor) -> Tensor: return self.func(x, y)


class OMLTriplet(nn.Module):
    "Its TripletLossWithMiner over the hardest triplets of a batch, on embeddings of length one; margin None: soft"
    sampler = 'oml_balance'

    def __init__(self, in_dim: int, n_classes: int, margin: float | None = None):
        super().__init__()
        self.func = TripletLossWithMiner(margin, HardTripletsMiner())

    def loss(self, x: Tensor, y: Tensor) -> Tensor: return self.func(F.normalize(x), y)


def _drawn(sampler: BalanceSampler, rng: np.random.Generator):
    "Its batches, one of its passes after the other; it draws from numpy's own generator, which stays as it was"
    kept = np.random.get_state()
    np.random.seed(int(rng.integers(2**31)))
    try:
        while True: yield from sampler
    finally: np.random.set_state(kept)


def balance(groups: np.ndarray, batch_size: int, k: int, rng: np.random.Generator) -> np.ndarray:
    "Row numbers of as many batches as our own passes have, by its BalanceSampler; `k` or more pictures of a class"
    rows = np.flatnonzero(np.bincount(groups)[groups] > 1)  # it takes no class of a single picture
    n_labels = min(batch_size//k, len(np.unique(groups[rows])))
    sampler = BalanceSampler(groups[rows].tolist(), n_labels, batch_size//n_labels)
    batches = _drawn(sampler, rng)
    order = []
    for _ in range(-(-len(groups)//batch_size)):
        batch = rows[next(batches)]
        order.append(np.r_[batch, batch[:batch_size - len(batch)]])  # its size need not divide ours
    batches.close()
    return np.concatenate(order)


SAMPLERS['oml_balance'] = balance
