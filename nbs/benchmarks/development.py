"""Domains to choose settings on, reported nowhere: signs, pins, scenes and styles, from further icon sets.

    table, root = load_development()
    measure('measured/portfolio.csv')    # rows found in the file are not measured again

None of them is in the sample or among the domains of domains.py. In signs and pins a class is what several designers
call by the same name; in scenes and styles one house draws each class in several styles, `source`.
"""
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from domains import _copies, _several_sources, _twins, fetch_icons, load_drawn, render
from unifex.choosing import PORTFOLIO
from unifex.config import load_config, override
from unifex.core import map_threads, write_text
from unifex.evaluation import evaluate_held_out
from unifex.folding import fold
from unifex.selection import candidate_necks
from unifex.splits import hold_out
from unifex.tables import CLASS, write_table
from unifex.training import config_backbone, prepare_data, train_many

DEVELOPMENT = {  # domain -> package behind @iconify-json/ -> version
    'signs': {'lucide': '1.2.137', 'bi': '1.2.7', 'carbon': '1.2.29', 'icon-park': '1.2.4',
              'flat-color-icons': '1.2.3'},
    'pins': {'maki': '1.2.5', 'temaki': '1.2.6', 'map': '1.2.2'},
    'scenes': {'streamline-plump-color': '1.2.2', 'streamline-flex-color': '1.2.2'},
    'styles': {'solar': '1.2.13'},
}
STYLES = 'bold-duotone', 'line-duotone', 'broken'  # the sets of solar
MOST = 300  # classes of a domain


def label_and_source(domain: str, package: str, icon: str) -> tuple[str, str]:
    "What an icon shows and in whose hand; an empty label where it is left out"
    if package == 'maki' and re.search(r'-1[15]$', icon): return '', ''
    if domain == 'scenes':
        style = 'flat' if icon.endswith('-flat') else 'outlined'
        return icon.removesuffix('-flat'), f'{package}, {style}'
    if domain == 'styles':
        style = next((style for style in STYLES if icon.endswith(f'-{style}')), '')
        return icon.removesuffix(f'-{style}') if style else '', style
    return icon, package


def _find_icons(packs: dict[str, dict]) -> pd.DataFrame:
    "What can be drawn, of classes in two hands"
    rows = []
    for domain, packages in DEVELOPMENT.items():
        for package in packages:
            icons = packs[package]['icons']['icons']
            shown = sorted(name for name, icon in icons.items() if not icon.get('hidden'))
            rows += [(domain, package, icon, *label_and_source(domain, package, icon)) for icon in shown]
    rows = pd.DataFrame(rows, columns=['domain', 'package', 'icon', 'label', 'source'])
    rows = _several_sources(rows[rows.label != ''])
    n_sources = rows.groupby(['domain', 'label']).source.transform('nunique')
    rows = rows[(n_sources > 2) | (rows.domain != 'signs')]
    kept = rows[['domain', 'label']].drop_duplicates().groupby('domain').sample(frac=1, random_state=0)
    kept = kept.groupby('domain').head(MOST)
    return rows.merge(kept, on=['domain', 'label']).reset_index(drop=True)


def _make(folder: Path, progress: bool):
    "Fill an empty folder"
    packs = {name: fetch_icons(name, v) for packages in DEVELOPMENT.values() for name, v in packages.items()}
    rows = _find_icons(packs)
    def picture(row): return render(packs[row.package]['icons'], row.icon, 256, 238)
    pictures = map_threads(picture, rows.itertuples(), desc='icons', progress=progress)
    small = np.stack([np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.BOX)) for p in pictures])
    kept = _several_sources(rows.reset_index().drop(index=_copies(rows, small))).set_index('index')
    twins = _twins(kept, small)
    kept = kept[[c not in twins for c in zip(kept.domain, kept.label)]]
    kept = kept.assign(image=kept.domain + '/' + kept.package + '/' + kept.icon + '.png', dataset=kept.domain)
    for i, name in kept.image.items():
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[i]).save(folder/name)
    licenses = {name: pack['info']['license'] for name, pack in packs.items()}
    write_text(folder/'LICENSES.json', json.dumps(licenses, indent=1))
    write_table(kept[['image', 'label', 'dataset', 'domain', 'source']], folder/'annotations.csv')


def load_development(
    progress: bool = True,
) -> tuple[pd.DataFrame, Path]:  # as from `load_drawn`
    "Four domains, each a data set; needs npm, a network and `pip install resvg-py` once"
    return load_drawn('development', __file__, _make, progress)


# ---- settings


_PAIRS = dict(model__head__name='MultiSimilarity', model__head__params={})
_SUPCON = dict(model__head__name='SupCon', model__head__params={})
_SUM = dict(model__head__name='ArcFace + 0.1*MultiSimilarity')
SETTINGS = {
    'ArcFace': {},
    'ArcFace, lr 5e-3': dict(lr=5e-3),
    'ArcFace, dropout 0': dict(dropout=0.),
    'ArcFace, noise': dict(start=''),
    'ArcFace, noise, m .5, s 30': dict(start='', m=.5, s=30),
    'AdaCos, dropout 0': dict(model__head__name='AdaCos', model__head__params={}, dropout=0.),
    'ArcFace and MultiSimilarity, lr 1e-3': _SUM | dict(lr=1e-3),
    'MultiSimilarity, lr 5e-3': _PAIRS | dict(lr=5e-3),
    'MultiSimilarity, lr 1e-3': _PAIRS | dict(lr=1e-3),
    'MultiSimilarity, lr 1e-3, dropout 0': _PAIRS | dict(lr=1e-3, dropout=0.),
    'MultiSimilarity, lr 1e-3, dropout .6': _PAIRS | dict(lr=1e-3, dropout=.6),
    'MultiSimilarity, lr 1e-3, 80 epochs': _PAIRS | dict(lr=1e-3, epochs=80),
    'MultiSimilarity, lr 3e-4': _PAIRS | dict(lr=3e-4),
    'MultiSimilarity, noise, lr 5e-3': _PAIRS | dict(start='', lr=5e-3),
    'SupCon, lr 5e-3': _SUPCON | dict(lr=5e-3),
    'SupCon, lr 1e-3': _SUPCON | dict(lr=1e-3),
    'SupCon, lr 1e-3, dropout 0': _SUPCON | dict(lr=1e-3, dropout=0.),
    'SupCon, lr 1e-3, 80 epochs': _SUPCON | dict(lr=1e-3, epochs=80),
    'SupCon, lr 3e-4': _SUPCON | dict(lr=3e-4),
}


def small_folder(rows: pd.DataFrame, n_classes: int, most: int, seed: int, valid: str = 'classes') -> pd.DataFrame:
    "`n_classes` of a table with at most `most` pictures each; half of the classes held out, or a third of the pictures"
    rng = np.random.default_rng([seed, n_classes])
    classes = rows[CLASS].drop_duplicates()
    drawn = classes.iloc[rng.permutation(len(classes))[:n_classes]]
    rows = rows.merge(drawn, on=CLASS)
    rows = rows.groupby(CLASS).sample(frac=1, random_state=seed).groupby(CLASS).head(most)
    rows = rows[rows.groupby(CLASS).image.transform('size') >= 2].sort_index().reset_index(drop=True)
    return hold_out(rows, valid, .5 if valid == 'classes' else .34, seed)


def measure(
    save: str | Path,  # CSV, written after each folder
    sizes=(40, 80, 230, 900),  # classes: half of them, or a third of the pictures, are held out; 900 of all domains
    seeds=(1, 2),
    valid=('classes', 'images'),  # what is held out
    **overrides,  # of the quickstart's configuration
) -> pd.DataFrame:  # a row a folder and neck: mMP@5 on its held-out classes
    "What each of `SETTINGS` makes of folders with two to four pictures a class"
    save = Path(save)
    rows = pd.read_csv(save).to_dict('records') if save.exists() else []
    done = {(row['valid'], row['domain'], row['classes'], row['seed']) for row in rows}
    table, root = load_development()
    cfg = load_config('quickstart', device='cpu', img_size=128, **overrides)
    backbone = config_backbone(cfg)
    for folder in itertools.product(seeds, valid, sizes, [*DEVELOPMENT, 'all']):
        seed, kind, size, domain = folder
        part = table if domain == 'all' else table[table.domain == domain]
        if (kind, domain, size, seed) in done or size > len(part[CLASS].drop_duplicates()): continue
        if domain == 'all' and size < 900: continue
        data = prepare_data(cfg, backbone, small_folder(part, size, 4, seed, kind), root)
        trained = train_many([override(cfg, seed=seed, **settings) for settings in SETTINGS.values()], data)
        necks = {name: [training.embedder.neck.eval()] for name, training in zip(SETTINGS, trained)}
        for name, neck in candidate_necks(necks, data.components(64, .5), data.train[0]).items():
            vectors = neck(data.features.x.float()).detach().numpy()
            score = evaluate_held_out(vectors, data.table).overall['mMP@5']
            row = dict(zip(('seed', 'valid', 'classes', 'domain'), folder), neck=name)
            rows.append(row | {'mMP@5': round(score, 4)})
        write_table(pd.DataFrame(rows), save)
    return pd.DataFrame(rows)


def measure_folded(
    save: str | Path,  # CSV
    seed: int = 1,
) -> pd.DataFrame:  # a row a folder: mMP@5 of the portfolio's settings, of three seeds of one, and of all, folded
    "Whether settings folded into one neck find more than seeds of one setting do"
    table, root = load_development()
    cfg = load_config('quickstart', device='cpu', img_size=128, seed=seed)
    backbone = config_backbone(cfg)
    seeds = {f'{name} {n}': PORTFOLIO[name] | dict(seed=seed + n)
             for name in ('MultiSimilarity', 'SupCon') for n in (1, 2)}
    folded = {'MultiSimilarity, 3 seeds': ['MultiSimilarity', 'MultiSimilarity 1', 'MultiSimilarity 2'],
              'SupCon, 3 seeds': ['SupCon', 'SupCon 1', 'SupCon 2'],
              'MultiSimilarity & SupCon & AdaCos': ['MultiSimilarity', 'SupCon', 'AdaCos'], 'all five': list(PORTFOLIO)}
    rows = []
    folders = [('all', 900), ('signs', 230), ('styles', 230), ('scenes', 80), ('styles', 80),
               ('signs', 40), ('scenes', 40)]
    for kind, (domain, size) in itertools.product(('classes', 'images'), folders):
        part = table if domain == 'all' else table[table.domain == domain]
        data = prepare_data(cfg, backbone, small_folder(part, size, 4, seed, kind), root)
        settings = PORTFOLIO | seeds
        trained = train_many([override(cfg, **s) for s in settings.values()], data)
        necks = {name: training.embedder.neck.eval() for name, training in zip(settings, trained)}
        necks = {name: necks[name] for name in PORTFOLIO} | {
            name: fold([necks[part] for part in parts], data.train[0]) for name, parts in folded.items()}
        row = dict(valid=kind, domain=domain, classes=size)
        for name, neck in necks.items():
            vectors = neck(data.features.x.float()).detach().numpy()
            row[name] = round(evaluate_held_out(vectors, data.table).overall['mMP@5'], 4)
        rows.append(row)
        write_table(pd.DataFrame(rows), Path(save))
    return pd.DataFrame(rows)


FOLDERS = [('all', 900), ('signs', 230), ('styles', 230), ('scenes', 80), ('styles', 80), ('signs', 40),
           ('scenes', 40), ('pins', 40)]  # domain, classes


def measure_samplers(
    save: str | Path,  # CSV
    seeds=(1, 2),
) -> pd.DataFrame:  # a row a folder: mMP@5 of the portfolio's pair losses, by how batches are drawn
    "Whether a pair loss wants four pictures of each class in a batch, two, or classes drawn at random"
    table, root = load_development()
    cfg = load_config('quickstart', device='cpu', img_size=128)
    backbone = config_backbone(cfg)
    orders = {'m_per_class, 4': {}, 'm_per_class, 2': dict(per_class=2), 'class_balanced': dict(sampler='class_balanced')}
    pairs = [name for name in PORTFOLIO if name != 'AdaCos']
    settings = {f'{name}: {order}': PORTFOLIO[name] | how for name in pairs for order, how in orders.items()
                if order != 'm_per_class, 2' or 'dropout' not in name}
    rows = []
    for seed, kind, (domain, size) in itertools.product(seeds, ('classes', 'images'), FOLDERS):
        part = table if domain == 'all' else table[table.domain == domain]
        data = prepare_data(cfg, backbone, small_folder(part, size, 4, seed, kind), root)
        trained = train_many([override(cfg, seed=seed, **s) for s in settings.values()], data)
        rows.append(dict(seed=seed, valid=kind, domain=domain, classes=size) | {
            name: round(training.report.overall['mMP@5'], 4) for name, training in zip(settings, trained)})
        write_table(pd.DataFrame(rows), Path(save))
    return pd.DataFrame(rows)
