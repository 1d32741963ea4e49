"""Scores on classes that were not trained on: what needs no training, a training alone, what a run keeps, and rivals' losses.

    measure('measured/universal.csv')    # rows found in the file are not measured again
"""
import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd

from unifex.config import Config, load_config, override
from unifex.datasets import load_dataset, sample_root
from unifex.choosing import select
from unifex.training import TrainingData, config_backbone, prepare_data, train, train_many
from unifex.runs import zero_shot_reports
from unifex.selection import set_aside_scores
from unifex.splits import hold_out, set_aside_folds, split_by_class, split_mask
from unifex.tables import CLASS, write_table

RIVALS = {  # losses of pytorch-metric-learning, in our loop: the same features, neck, steps and seeds
    'MultiSimilarityLoss': dict(model__head__name='pml:MultiSimilarityLoss', dataloader__sampler='m_per_class'),
    'ArcFaceLoss': dict(model__head__name='pml:ArcFaceLoss'),
}
RATES = 1.5e-2, 5e-3, 1e-3
SEEDS = 42, 43, 44


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


# ---- ways


def _best_rate(cfg: Config, data: TrainingData, settings: dict) -> float:
    "The rate that is best on classes set aside from the training ones"
    training = split_mask(data.table, 'train')
    folds = set_aside_folds(data.table, seed=cfg.seed)

    def make(x, rows):
        from unifex.features import FeatureSet
        part = TrainingData(rows, data.root, data.failed, data.backbone, FeatureSet(x, rows))
        cfgs = [override(cfg, **settings, lr=lr) for lr in RATES]
        return {f'{t.cfg.optimizer.lr}': t.embedder.neck.cpu() for t in train_many(cfgs, part)}

    scores = set_aside_scores(data.features[training].x.float(), folds, make)
    return float(scores[[f'{lr}' for lr in RATES]].mean().idxmax())


def rival(cfg: Config, data: TrainingData, settings: dict):
    "The report of a loss under the best of `RATES`"
    lr = _best_rate(cfg, data, settings)
    training, = train_many([override(cfg, **settings, lr=lr)], data)
    return training.report


def ways(cfg: Config, data: TrainingData) -> dict[str, pd.Series]:
    "mMP@5, R@1 and mAP of each way"
    x, dim = data.features.x, cfg.model.embedding_dim
    reports = zero_shot_reports(x, data.table, dim, cfg.model.neck.power)
    reports = {name: report for name, report in reports.items() if 'all' in name or 'half' in name}
    plain = train(override(cfg, start=''), data, progress=False)
    reports['trained from noise'] = plain.report
    begun = train(cfg, data, progress=False)
    reports['trained from components'] = begun.report
    kept = select(begun)
    reports['kept'] = kept.report
    for name, settings in RIVALS.items(): reports[name] = rival(override(cfg, start=''), data, settings)
    return {name: report.overall for name, report in reports.items()} | {'choice': kept.choice.name}


# ---- all of them


def measure(save: str | Path, names: list[str] | None = None, seeds=SEEDS, **overrides) -> pd.DataFrame:
    "A row a world, seed and way; written to `save` after each"
    save = Path(save)
    rows = pd.read_csv(save).to_dict('records') if save.exists() else []
    for seed in seeds:
        cfg = load_config('quickstart', seed=seed, device='cpu', refit=False, img_size=128, **overrides)
        backbone = config_backbone(cfg)
        for world, (table, root) in worlds(seed).items():
            if names and world not in names or any(r['world'] == world and r['seed'] == seed for r in rows): continue
            found = ways(cfg, prepare_data(cfg, backbone, table, root))
            choice = found.pop('choice')
            rows += [dict(world=world, seed=seed, way=way, **scores, choice=choice if way == 'kept' else '')
                     for way, scores in found.items()]
            write_table(pd.DataFrame(rows), save)
    return pd.DataFrame(rows)


def folder(table: pd.DataFrame, n_classes: int, seed: int) -> pd.DataFrame:
    "A folder as somebody may have it: `n_classes` of a table, with at most so many pictures each, 3 to 40"
    rng = np.random.default_rng([seed, n_classes])
    classes = table[CLASS].drop_duplicates()
    drawn = classes.iloc[rng.permutation(len(classes))[:n_classes]]
    rows = table.drop(columns=['split', 'class_id', 'source'], errors='ignore').merge(drawn, on=CLASS)
    return rows.groupby(CLASS).sample(frac=1, random_state=seed).groupby(CLASS).head(int(rng.integers(3, 41)))


def measure_folders(
    save: str | Path,  # CSV, written after each
    sizes=(4, 10, 20, 40, 80),  # classes
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
        scores = dict(full=next(iter(reports.values())), half_whitened=half, trained=kept.plain.report, kept=kept.report)
        rows.append(dict(world=name, classes=n, draw=draw, pictures=len(pictures), choice=kept.choice.name,
                         **{way: report.overall['mMP@5'] for way, report in scores.items()}))
        write_table(pd.DataFrame(rows), save)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, score: str = 'mMP@5') -> pd.DataFrame:
    "A row a way, a column a world: the mean of the seeds"
    order = rows.way.drop_duplicates()
    columns = rows.world.drop_duplicates()
    return rows.pivot_table(score, 'way', 'world').loc[order, columns]
