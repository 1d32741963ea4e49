"""Ten epochs on 400 photographs with a frozen backbone: run once, against run again in every epoch."""
import copy
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from harness import bench_row, photo_files, run_in_subprocess
from unifex.backbones import create_backbone
from unifex.core import map_threads
from unifex.embedder import Embedder
from unifex.features import extract_features, feature_dls
from unifex.heads import create_head
from unifex.margin_model import unifex_learner
from unifex.necks import create_neck
from unifex.tables import add_class_ids, make_table

N_PHOTOS = 400
EPOCHS = 10
RIVAL_EPOCHS = 2  # each costs the same; scaled to EPOCHS
BATCH_SIZE = 128
DIM = 64
K = 3  # sub-centers
TRAININGS = [  # name, timm's model, weights, width that the photographs are enlarged to, times that ours is faster
    ('Lite0 at 224', 'tf_efficientnet_lite0', 'efficientnet_lite0', 0, 9),
    ('ViT, files of 1,600 px', 'test_vit', '', 1600, 20),
]


# ---- photographs


def enlarge(source, path, width):
    im = Image.open(source).convert('RGB')
    im.resize((width, round(width*im.height/im.width))).save(path, quality=90)


def training_pictures(folder, width) -> pd.DataFrame:
    "A table of `N_PHOTOS` JPEG files in `folder`, `width` pixels wide; 0: photographs as they are"
    files = photo_files()
    if files[0].suffix == '.webp': width = width or 464  # the sample's pictures are small
    files = files[::max(1, len(files)//N_PHOTOS)][:N_PHOTOS]
    images = [f'{i}.jpg' for i in range(len(files))]
    def add(i):
        path = Path(folder)/images[i]
        if width: enlarge(files[i], path, width)
        else: shutil.copy(files[i], path)
    map_threads(add, range(len(files)), progress=False)
    return add_class_ids(make_table(images, [f.parent.name for f in files], split='train'))


# ---- the rival: UniFEx's loop, written out


class Stopwatch:
    "Seconds by what they were spent on"

    def __init__(self, *names):
        self.seconds = dict.fromkeys(names, 0.)
        self.last = time.perf_counter()

    def lap(self, name):
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now


class Pictures(Dataset):
    "(picture as Pillow and torchvision prepare it, class id)"

    def __init__(self, table, root, preproc):
        self.paths = [Path(root)/image for image in table.image]
        self.class_ids = table.class_id.tolist()
        self.prepare = Compose([
            Resize(preproc.size, InterpolationMode.BICUBIC),
            CenterCrop(preproc.size),
            ToTensor(),
            Normalize(preproc.mean, preproc.std),
        ])

    def __len__(self): return len(self.paths)

    def __getitem__(self, i):
        return self.prepare(Image.open(self.paths[i]).convert('RGB')), self.class_ids[i]


def arcface_loss(x, centers, y, s=30., m=.5):
    "ArcFace with sub-centers over a matrix of all logits"
    n_classes = len(centers)//K
    cos = F.linear(F.normalize(x), F.normalize(centers)).view(-1, n_classes, K)
    cos = cos.amax(2).clamp(-1 + 1e-7, 1 - 1e-7)
    own = F.one_hot(y, n_classes)
    logits = own*torch.cos(torch.acos(cos) + m) + (1 - own)*cos
    return F.cross_entropy(s*logits, y)


def train_as_unifex(backbone, table, root, epochs) -> dict[str, float]:
    "Decode and run the backbone in every epoch; seconds of decode, forward, head"
    neck = nn.Sequential(nn.Dropout(.2), nn.Linear(backbone.out_dim, DIM))
    centers = nn.Parameter(torch.randn((table.class_id.max() + 1)*K, DIM))
    opt = torch.optim.Adam([*neck.parameters(), centers], lr=1e-3)
    pictures = Pictures(table, root, backbone.preproc)
    batches = DataLoader(pictures, BATCH_SIZE, shuffle=True, num_workers=2, persistent_workers=True)
    watch = Stopwatch('decode', 'forward', 'head')
    for _ in range(epochs):
        for x, y in batches:
            watch.lap('decode')
            with torch.no_grad(): features = backbone(x)
            watch.lap('forward')
            loss = arcface_loss(neck(features), centers, y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            loss.item()
            watch.lap('head')
    return watch.seconds


# ---- ours


@contextmanager
def timed_forward(backbone):
    "Yields a list of the seconds of each call"
    starts, seconds = [], []
    def before(*_): starts.append(time.perf_counter())
    def after(*_): seconds.append(time.perf_counter() - starts[-1])
    hooks = [backbone.register_forward_pre_hook(before), backbone.register_forward_hook(after)]
    yield seconds
    for hook in hooks: hook.remove()


def train_from_store(backbone, table, root, store, epochs) -> dict[str, float]:
    "The same with stored features; seconds of decode (and of all else around the backbone), forward, head"
    start = time.perf_counter()
    with timed_forward(backbone) as seconds:
        features = extract_features(backbone, table, root, store, device='cpu', progress=False)
    extracted = time.perf_counter()
    embedder = Embedder(backbone, create_neck('proj_layer', backbone.out_dim))
    head = create_head('ArcFace', DIM, table.class_id.max() + 1, k=K)
    dls = feature_dls(features, batch_size=BATCH_SIZE, device='cpu')
    learn = unifex_learner(dls, embedder, head)
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs)
    trained = time.perf_counter()
    forward = sum(seconds)
    return dict(decode=extracted - start - forward, forward=forward, head=trained - extracted)


# ---- both


def training_seconds(model_name, weights, width) -> dict[str, dict[str, float]]:
    "Seconds by part of our first and our second training, and of the rival's `RIVAL_EPOCHS`"
    ours = create_backbone('timm', model_name, weights or None, pretrained=bool(weights)).requires_grad_(False)
    theirs = copy.deepcopy(ours)
    with TemporaryDirectory() as root, TemporaryDirectory() as stores:
        table = training_pictures(root, width)
        few = table[:8]
        train_from_store(ours, few, root, Path(stores)/'few', 1)  # imports and first calls
        train_as_unifex(theirs, few, root, 1)
        store = Path(stores)/'all'
        first = train_from_store(ours, table, root, store, EPOCHS)
        rival = train_as_unifex(theirs, table, root, RIVAL_EPOCHS)
        second = train_from_store(ours, table, root, store, EPOCHS)
    return dict(first=first, rival=rival, second=second)


def run() -> list[dict]:
    "A training whose features are not there yet, part by part, and one that finds them"
    loop = f"UniFEx's loop, {RIVAL_EPOCHS} epochs scaled to {EPOCHS}"
    scale = EPOCHS/RIVAL_EPOCHS
    rows = []
    for name, model_name, weights, width, times in TRAININGS:
        seconds = run_in_subprocess(training_seconds, model_name, weights, width, threads=2)
        first, rival = seconds['first'], seconds['rival']
        total = {training: sum(parts.values()) for training, parts in seconds.items()}
        whole = dict(rival=total['rival']*scale, against=loop)
        rows.append(bench_row(f'{name}: {RIVAL_EPOCHS} epochs of the loop, as measured', total['rival']))
        rows += [bench_row(f'{name}: {part}', first[part], rival[part]*scale, loop) for part in rival]
        rows.append(bench_row(f'{name}: first training', total['first'], bar=1/times, **whole))
        rows.append(bench_row(f'{name}: second training', total['second'], bar=1/100, **whole))
    return rows
