"""Scores on classes that were not trained on: no training, a training alone, what a run keeps, rivals' losses.

    measure('measured/universal.csv')    # rows found in the file are not measured again
"""
import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd

from unifex.choosing import select
from unifex.config import Config, load_config, override
from unifex.core import Roots
from unifex.datasets import load_dataset, sample_root
from unifex.evaluation import Report
from unifex.features import FeatureSet
from unifex.metrics import bootstrap_mean
from unifex.runs import zero_shot_reports
from unifex.selection import set_aside_scores
from unifex.splits import hold_out, sample_table, set_aside_folds, split_by_class, split_mask
from unifex.tables import CLASS, write_table
from unifex.training import TrainingData, config_backbone, prepare_data, train, train_many

RATES = 1.5e-2, 5e-3, 1e-3
SEEDS = 42, 43, 44


def _head(name: str, **params) -> dict: return dict(model__head__name=name, model__head__params=params)


RIVALS = {  # losses of two libraries, in our loop: the same features, neck, steps and seeds; the best of these settings
    'pytorch-metric-learning MultiSimilarity': [_head('pml:MultiSimilarityLoss')],
    'pytorch-metric-learning ArcFace': [_head('pml:ArcFaceLoss'), _head('pml:ArcFaceLoss', scale=20)],
    'open-metric-learning ArcFace': [_head('rival_losses:OMLArcFace', m=.5, s=20)],
    'open-metric-learning triplets': [_head('rival_losses:OMLTriplet')],
}
OWN = {name: [_head(name, s=20, m=.3)] for name in ('ArcFace', 'CosFace', 'LiArcFace', 'CurricularFace', 'AdaFace')}
OWN |= {name: [_head(name, s=20)] for name in ('NormFace', 'DynM-ArcFace')}
OWN |= {name: [_head(name)] for name in ('AdaCos', 'MultiSimilarity', 'SupCon')}
ZERO_SHOT = 'zero-shot, all', 'zero-shot, half-whitened'
TRAINED = 'trained from noise', 'trained from components'
WAYS = *ZERO_SHOT, *TRAINED, *RIVALS, 'kept', *OWN


# ---- pictures


def _halves(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    "Half of the classes to train on, the others to search for"
    rows = table.drop(columns='split', errors='ignore')
    rows = rows[rows.groupby(CLASS).image.transform('size') >= 2]
    return pd.concat(split_by_class(rows, frac=.5, seed=seed)).sort_index().reset_index(drop=True)


def worlds(seed: int = 42) -> dict[str, tuple[pd.DataFrame, Path]]:
    "Annotation tables with their split, and roots, by name; photographs where UNIFEX_GROCERY names their folder"
    found = {'sample': (load_dataset('sample'), sample_root())}
    photos = os.environ.get('UNIFEX_GROCERY')
    if photos:
        table = load_dataset('grocery_store', photos)
        found['groceries, new classes'] = _halves(table[table.split != 'query'], seed), Path(photos)
        found['groceries, new pictures'] = table.replace({'split': {'val': 'train'}}), Path(photos)
    from domains import load_domains
    table, root = load_domains()
    for domain, rows in table.groupby('domain'): found[domain] = _halves(rows, seed), root
    return found


def left_out(seed: int = 42, n: int = 600) -> dict[str, tuple[pd.DataFrame, Roots]]:
    "The same kinds of pictures, at most `n` of each: one is searched for, the others are trained on"
    known = {name.partition(',')[0]: found for name, found in worlds(seed).items() if name != 'groceries, new pictures'}
    parts = []
    for name, (table, root) in known.items():
        whole = table.drop(columns=['split', 'class_id'], errors='ignore')
        rows = sample_table(whole, n_images=n, seed=seed, per='all')
        rows = rows.assign(image=name + '/' + rows.image.astype(str), dataset=name + ': ' + rows.dataset, domain=name)
        parts.append(rows.drop(columns='source', errors='ignore'))
    table, roots = pd.concat(parts, ignore_index=True), Roots({name: root for name, (_, root) in known.items()})
    table = table[(table.domain != 'sample') | table.duplicated(CLASS, keep=False)].reset_index(drop=True)
    return {f'without {name}': (table.assign(split=np.where(table.domain == name, 'query', 'train')), roots)
            for name in known}


# ---- ways


def _best_settings(cfg: Config, data: TrainingData, ways: dict[str, list[dict]], n_folds: int) -> dict[str, dict]:
    "Of each way the settings and the rate that are best on classes set aside from the training ones"
    training = split_mask(data.table, 'train')
    folds = set_aside_folds(data.table, seed=cfg.seed)[:n_folds]
    tried = {name: [s | dict(lr=lr) for s in settings for lr in RATES] for name, settings in ways.items()}
    todo = {f'{name} {i}': s for name, settings in tried.items() for i, s in enumerate(settings)}

    def make(x, rows):
        part = TrainingData(rows, data.root, data.failed, data.backbone, FeatureSet(x, rows))
        trained = train_many([override(cfg, **settings) for settings in todo.values()], part)
        return {key: t.embedder.neck.cpu() for key, t in zip(todo, trained)}

    scores = set_aside_scores(data.features[training].x.float(), folds, make)
    means = scores[list(todo)].mean()
    return {name: todo[means[[f'{name} {i}' for i in range(len(tried[name]))]].idxmax()] for name in ways}


def _with_losses(cfg: Config, data: TrainingData, ways: dict[str, list[dict]], n_folds: int) -> dict:
    "Reports under the best settings of each way, and these settings"
    best = _best_settings(cfg, data, ways, n_folds)
    trained = train_many([override(cfg, **settings) for settings in best.values()], data)
    said = {name: f"lr {settings['lr']:g}" + ''.join(f', {k} {v:g}' for k, v in settings['model__head__params'].items())
            for name, settings in best.items()}
    return {name: (t.report, said[name]) for name, t in zip(best, trained)}


def _reports(cfg: Config, data: TrainingData, ways: list[str], n_folds: int):
    "Yield {way: (report, what was chosen)}, some ways at a time"
    if set(ways) & set(ZERO_SHOT):
        found = zero_shot_reports(data.features.x, data.table, cfg.model.embedding_dim, cfg.model.neck.power)
        yield {way: (report, '') for way in ZERO_SHOT for name, report in found.items() if name.startswith(way)}
    for way, start in zip(TRAINED, ('', 'components')):
        if way in ways: yield {way: (train(override(cfg, start=start), data, progress=False).report, '')}
    for group in RIVALS, OWN:
        named = {way: settings for way, settings in group.items() if way in ways}
        if named: yield _with_losses(override(cfg, start=''), data, named, n_folds)
    if 'kept' in ways:
        kept = select(train(cfg, data, progress=False))
        yield {'kept': (kept.report, kept.choice.name)}


# ---- all of them


def _by_class(report: Report) -> pd.DataFrame:
    "mMP@5 of each class searched for, and of how many pictures it is the mean"
    rows = report.per_query[report.per_query.n_relevant > 0]
    found = rows.groupby(rows.dataset.astype(str) + '/' + rows.label.astype(str))['mMP@5']
    return found.agg(['mean', 'size']).rename_axis('class')


class Measured:
    "Rows of a CSV, one a world, seed and way, and beside it, `_classes`, the scores of the classes, a column a way"
    key = ['world', 'seed', 'class']

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.beside = self.path.with_name(f'{self.path.stem}_classes.csv')
        self.rows = self._read(self.path).to_dict('records')
        self.classes = self._read(self.beside, self.key + ['pictures']).set_index(self.key)

    @staticmethod
    def _read(path, columns=()):
        return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(columns))

    def missing(self, world: str, seed: int, ways) -> list[str]:
        done = {row['way'] for row in self.rows if (row['world'], row['seed']) == (world, seed)}
        return [way for way in ways if way not in done]

    def add(self, world: str, seed: int, found: dict):
        for way, (report, choice) in found.items():
            self.rows.append(dict(world=world, seed=seed, way=way, **report.overall.round(5), choice=choice))
            part = _by_class(report).assign(world=world, seed=seed).reset_index().set_index(self.key)
            self.classes = self.classes.reindex(self.classes.index.union(part.index, sort=False))
            self.classes.loc[part.index, 'pictures'] = part['size']
            self.classes.loc[part.index, way] = part['mean'].round(4)
        write_table(pd.DataFrame(self.rows), self.path)
        write_table(self.classes.astype({'pictures': int}).reset_index(), self.beside)


def measure(
    save: str | Path,  # CSV, written after each way
    ways=WAYS,
    names: list[str] | None = None,  # of worlds; None: all
    seeds=SEEDS,
    make=worlds,  # seed -> tables and roots by name; or `left_out`
    n_folds: int = 2,  # of the training classes' five, on which the settings of a loss are chosen
    **overrides,  # of the configuration
) -> pd.DataFrame:  # a row a world, seed and way: mMP@5, R@1, mAP and what was chosen
    "Measure what the file has no rows of"
    found = Measured(save)
    for seed in seeds:
        settings = dict(device='cpu', refit=False, img_size=128) | overrides
        cfg = load_config('quickstart', seed=seed, **settings)
        backbone = config_backbone(cfg)
        for world, (table, root) in make(seed).items():
            todo = found.missing(world, seed, ways)
            if not todo or names and world not in names: continue
            data = prepare_data(cfg, backbone, table, root)
            for reports in _reports(cfg, data, todo, n_folds):
                found.add(world, seed, {way: report for way, report in reports.items() if way in todo})
    return pd.DataFrame(found.rows)


def folder(table: pd.DataFrame, n_classes: int, seed: int) -> pd.DataFrame:
    "A folder as somebody may have it: `n_classes` of a table, with at most so many pictures each, 3 to 40"
    rng = np.random.default_rng([seed, n_classes])
    classes = table[CLASS].drop_duplicates()
    drawn = classes.iloc[rng.permutation(len(classes))[:n_classes]]
    rows = table.drop(columns=['split', 'class_id', 'source'], errors='ignore').merge(drawn, on=CLASS)
    return rows.groupby(CLASS).sample(frac=1, random_state=seed).groupby(CLASS).head(int(rng.integers(3, 41)))


def measure_folders(
    save: str | Path,  # CSV, written after each
    sizes=(3, 10, 20, 40, 80),  # classes
    names=('groceries, new classes', 'coins', 'flags'),
    draws: int = 20,
    **overrides,
) -> pd.DataFrame:  # a row a folder: mMP@5 of all features, of half-whitened components, trained, kept
    "What the presets make of small folders, two fifths of whose classes (or pictures) are held out"
    save = Path(save)
    rows = pd.read_csv(save).to_dict('records') if save.exists() else []
    done = {(r['world'], r['classes'], r['draw']) for r in rows}
    cfg = load_config('quickstart', device='cpu', refit=False, img_size=128, **overrides)
    backbone, known = config_backbone(cfg), worlds(1)
    for draw, n, name in itertools.product(range(draws), sizes, names):
        if (name, n, draw) in done or known[name][0].label.nunique() < n: continue
        pictures = hold_out(folder(known[name][0], n, draw).reset_index(drop=True), 'auto', .4, draw)
        data = prepare_data(cfg, backbone, pictures, known[name][1])
        kept = select(train(cfg, data, progress=False))
        reports = zero_shot_reports(data.features.x, data.table, cfg.model.embedding_dim, cfg.model.neck.power)
        half = next(report for name, report in reports.items() if 'half' in name)
        full = next(iter(reports.values()))
        scores = dict(full=full, half_whitened=half, trained=kept.plain.report, kept=kept.report)
        rows.append(dict(world=name, classes=n, draw=draw, pictures=len(pictures), choice=kept.choice.name,
                         **{way: report.overall['mMP@5'] for way, report in scores.items()}))
        write_table(pd.DataFrame(rows), save)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, score: str = 'mMP@5') -> pd.DataFrame:
    "A row a way, a column a world: the mean of the seeds"
    order = rows.way.drop_duplicates()
    columns = rows.world.drop_duplicates()
    return rows.pivot_table(score, 'way', 'world').loc[order, columns]


def differences(classes: pd.DataFrame, way: str = 'kept', level: float = .95) -> pd.DataFrame:
    "mMP@5 of `way` less that of each other way on the same classes and seeds, with intervals over the draw of classes"
    found = []
    for other in classes.columns[list(classes.columns).index('pictures') + 1:].drop(way):
        for world, rows in classes.dropna(subset=[way, other]).groupby('world', sort=False):
            each = (rows[way] - rows[other]).repeat(rows.pictures)  # a class counts by its pictures
            mean, low, high = bootstrap_mean(each, rows['class'].repeat(rows.pictures), level)  # of all seeds at once
            found.append(dict(way=other, world=world, seeds=rows.seed.nunique(), difference=mean, low=low, high=high))
    return pd.DataFrame(found)
