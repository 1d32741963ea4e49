"""What the proofs for the heads share: a head's loss by chunks of the classes, compared with that by the whole matrix.

    loss, gradients = both_ways(head, x, y)     # relative differences
"""
import copy

import torch
from torch import nn
from torch.nn import functional as F

from unifex.heads import create_head


def plain_loss(head, x, y):
    "The loss by the matrix of all logits"
    return F.cross_entropy(head(x, y), y)


def relative(a, b):
    "Largest difference of these tensors from those, relative to the largest entry"
    return max(((p - q).abs().max() / q.abs().max()).item() for p, q in zip(a, b))


def with_gradients(f, head, x, y):
    "A loss, and its gradients by the embeddings and by what the head learns; the head's state stays as it was"
    state = copy.deepcopy(head.state_dict())
    loss = f(x, y)
    grads = torch.autograd.grad(loss, (x, *head.parameters()))
    head.load_state_dict(state)
    return [loss.detach()], grads


def both_ways(head, x, y):
    "Relative differences of loss and gradients between the chunks and the matrix"
    chunks = with_gradients(head.loss, head, x, y)
    matrix = with_gradients(lambda x, y: plain_loss(head, x, y), head, x, y)
    return relative(chunks[0], matrix[0]), relative(chunks[1], matrix[1])


class Loss(nn.Module):
    "A head's loss as a module, so that its centers can be handed in"
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x, y): return self.head.loss(x, y)


def state_after(name, parts):
    "The state of a head after a batch of each of these parts of twenty pictures"
    torch.manual_seed(0)
    head = create_head(name, 8, 50, k=2)
    x, y = torch.randn(20, 8), torch.randint(0, 50, (20,))
    for part in parts: head.loss(x[part], y[part])
    return {f'{name}.{key}': value for key, value in head.named_buffers()}
