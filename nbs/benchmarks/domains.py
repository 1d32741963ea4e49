"""Four domains drawn by several designers each: flags, coins, file types, weather.

    table, root = load_domains()

No flag and no brand of the sample is among them; weather is, by other designers. The pictures are icons of npm packages
in fixed versions. The first call needs a network, npm and `pip install resvg-py`; pictures, table and licenses then lie
in the user's cache, and nothing of them in the repository.
"""
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from unifex.core import atomic_path, cache_dir, map_threads, require_packages, write_text
from unifex.datasets import load_dataset
from unifex.tables import read_table, write_table

VERSIONS = {  # domain -> package behind @iconify-json/ -> version
    'flags': {'flag': '1.2.12', 'circle-flags': '1.2.11', 'flagpack': '1.2.8'},
    'coins': {'cryptocurrency': '1.2.3', 'cryptocurrency-color': '1.2.4', 'token': '1.2.40', 'token-branded': '1.2.45'},
    'file types': {'material-icon-theme': '1.2.70', 'vscode-icons': '1.2.97', 'catppuccin': '1.2.17',
                   'file-icons': '1.2.2'},
    'weather': {'meteocons': '1.2.4', 'wi': '1.2.1'},
}


# ---- icons of a package


def fetch_icons(
    name: str,  # of the package, behind @iconify-json/
    version: str,
) -> dict:  # 'icons', 'chars' and 'info': contents of the files of these names
    "An icon set of Iconify, from the registry that npm is set to"
    if not shutil.which('npm'): raise RuntimeError('the icon sets come as npm packages; install npm')
    package = f'@iconify-json/{name}@{version}'
    with TemporaryDirectory() as folder:
        run = subprocess.run(['npm', 'pack', '--silent', package], cwd=folder, capture_output=True, text=True)
        if run.returncode: raise RuntimeError(f'npm cannot fetch {package}: {run.stderr.strip()[-500:]}')
        with tarfile.open(next(Path(folder).glob('*.tgz'))) as packed:
            names = 'icons', 'chars', 'info'
            return {name: json.load(packed.extractfile(f'package/{name}.json')) for name in names}


def render(
    icons: dict,  # 'icons' of `fetch_icons`
    name: str,
    size: int,  # side of the square, pixels
    box: int,  # what the icon's longer side gets of it
) -> np.ndarray:  # (size, size, 3) uint8
    "An icon in the middle of a white square; one without a color is black"
    import resvg_py
    icon = icons['icons'][name]
    default = dict(left=0, top=0, width=16, height=16)
    x, y, w, h = (icon.get(k, icons.get(k, v)) for k, v in default.items())
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {spaces} viewBox="{x} {y} {w} {h}" width="{w}" height="{h}">{icon["body"]}</svg>'
    w, h = (max(1, round(side*box/max(w, h))) for side in (w, h))
    png = resvg_py.svg_to_bytes(svg_string=svg.replace('currentColor', '#000'), width=w, height=h)
    square = Image.new('RGBA', (size, size), 'white')
    square.alpha_composite(Image.open(io.BytesIO(bytes(png))).convert('RGBA'), ((size - w)//2, (size - h)//2))
    return np.asarray(square.convert('RGB'))


# ---- what an icon shows


OTHER_THINGS = {  # package -> labels that it draws as another thing than the rest, or draws quite differently
    'circle-flags': 'ar bl ie io la xx',  # languages, most of them
    'flagpack': 'gb-nir',
    'token': 'ape apex atm bsv cdt chain cnd ctr data dot drgn fuel fun game ink ins kin max med mln ong ox pac plr '
             'rise safe sai snx stx tusd utk',  # the same letters, another coin or a later design
    'material-icon-theme': 'ada assembly blink cake codeowners deepsource edge expo gamemaker gemini gleam kusto '
                           'license lilypond perl raml skill solidity stryker wrangler',
    'vscode-icons': 'assembly codeowners cssmap dune gomod license plantuml reactts readme rmd',
    'catppuccin': 'binary cheader cssmap gomod java javaclass makefile puppeteer ruff rust',
    'file-icons': 'abap actionscript alloy asciidoc assembly avro bosque c cairo coldfusion config image lean lsl '
                  'macaulay2 maya mermaid mint neo4j netlify nginx nunjucks opa pascal pm2 processing q rexx snort '
                  'source sqf stencil sublime vhdl vyper wolfram yamllint',
}
OTHER_THINGS['token-branded'] = OTHER_THINGS['token']
FLAGS_IN_SAMPLE = 'cn es fr gb it jp kr ru'

_PARTLY = 'rain snow sleet hail'.split()
_MOON = 'waxing-crescent waxing-gibbous waning-gibbous waning-crescent'.split()
_SAME = ('celsius fahrenheit sunrise sunset moonrise moonset horizon humidity umbrella raindrop raindrops barometer '
         'hurricane thermometer solar-eclipse cloud-up cloud-down rain snow sleet hail fog smoke dust moon-full '
         'moon-new moon-first-quarter').split()
WEATHER = {  # name in the set wi -> name in meteocons
    'day-sunny': 'clear-day', 'night-clear': 'clear-night', 'cloud': 'cloudy', 'cloudy': 'overcast',
    'sprinkle': 'drizzle', 'thunderstorm': 'thunderstorms', 'day-cloudy': 'partly-cloudy-day',
    'night-alt-cloudy': 'partly-cloudy-night', 'day-sprinkle': 'partly-cloudy-day-drizzle',
    'night-alt-sprinkle': 'partly-cloudy-night-drizzle', 'day-fog': 'fog-day', 'night-fog': 'fog-night',
    'day-haze': 'haze-day', 'lightning': 'lightning-bolt', 'stars': 'star', 'snowflake-cold': 'snowflake',
    'hot': 'sun-hot', 'na': 'not-available', 'strong-wind': 'wind', 'meteor': 'falling-stars',
    'moon-third-quarter': 'moon-last-quarter', 'small-craft-advisory': 'flag-small-craft-advisory',
    'day-thunderstorm': 'thunderstorms-day', 'night-alt-thunderstorm': 'thunderstorms-night',
    **{f'{kind}-warning': f'flag-{kind}-warning' for kind in ('gale', 'storm', 'hurricane')},
    **{f'day-{kind}': f'partly-cloudy-day-{kind}' for kind in _PARTLY},
    **{f'night-alt-{kind}': f'partly-cloudy-night-{kind}' for kind in _PARTLY},
    **{f'moon-{phase}-3': f'moon-{phase}' for phase in _MOON},
    **{f'wind-beaufort-{force}': f'wind-beaufort-{force}' for force in range(13)},
    **{name: name for name in _SAME},
}


def _plain(name: str) -> str: return re.sub('[^a-z0-9]', '', name)


def _file_type(package: str, icon: str) -> str:
    if icon.startswith(('folder', 'file-type-light')) or icon.endswith(('-light', '-alt')): return ''
    if package == 'vscode-icons' and not icon.startswith('file-type-'): return ''
    return _plain(icon.removeprefix('file-type-'))


def label_of(
    package: str,
    icon: str,
) -> str:  # the same in all sets of a domain; '' where the icon is left out
    "What an icon shows"
    label = icon
    if package == 'flag': label = icon.removesuffix('-4x3') if icon.endswith('-4x3') else ''
    if package == 'wi': label = WEATHER.get(icon, '')
    if package == 'meteocons': label = icon.removesuffix('-fill')
    if package in VERSIONS['file types']: label = _file_type(package, icon)
    return '' if label in OTHER_THINGS.get(package, '').split() else label


# ---- pictures and classes


def _several_sources(rows: pd.DataFrame) -> pd.DataFrame:
    "The rows of classes that two designers have drawn"
    return rows[rows.groupby(['domain', 'label']).source.transform('nunique') > 1].reset_index(drop=True)


def _find_icons(packs: dict[str, dict]) -> pd.DataFrame:  # columns domain, package, icon, label, source
    "What can be drawn, of classes that several designers have and the sample has not"
    rows = []
    for domain, packages in VERSIONS.items():
        for package in packages:
            source = packs[package]['info']['author']['name']
            icons = packs[package]['icons']['icons']
            shown = sorted(name for name, icon in icons.items() if not icon.get('hidden'))
            rows += [(domain, package, icon, label_of(package, icon), source) for icon in shown]
    rows = pd.DataFrame(rows, columns=['domain', 'package', 'icon', 'label', 'source'])
    brands = {_plain(label) for label in load_dataset('sample').label}
    known = {'flags': FLAGS_IN_SAMPLE.split(), 'file types': brands}
    is_known = [row.label in known.get(row.domain, ()) for row in rows.itertuples()]
    return _several_sources(rows[(rows.label != '') & ~np.array(is_known)])


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    "Whether two pictures are within one gray level on average, and within a twentieth of what is drawn"
    drawn = 255 - min(a.mean(), b.mean())
    return float(np.abs(a.astype(np.int16) - b).mean()) < min(1, drawn/20)


def _copies(rows: pd.DataFrame, small: np.ndarray) -> list[int]:
    "Rows whose picture is blank or that of an earlier row of the class"
    lost = [i for i in rows.index if small[i].std() < 2]
    for _, members in rows.groupby(['domain', 'label']).groups.items():
        for i, j in combinations(members, 2):
            if i not in lost and _alike(small[i], small[j]): lost.append(j)
    return lost


def _twins(rows: pd.DataFrame, small: np.ndarray) -> set[tuple[str, str]]:
    "(domain, label) of classes that look like another one in some set: the one of fewer pictures, or the later one"
    size = rows.groupby(['domain', 'label']).size()
    gone = set()
    for package, part in rows.groupby('package'):
        x = small[part.index].reshape(len(part), -1).astype(np.float32)
        squares = (x**2).sum(1)
        near = squares[:, None] + squares - 2*x @ x.T < 300*x.shape[1]  # a coarse sieve, then the pictures themselves
        for i, j in part.index.to_numpy()[np.argwhere(np.triu(near, 1))]:
            pair = [(rows.domain[row], rows.label[row]) for row in (i, j)]
            if pair[0] != pair[1] and not gone & {*pair} and _alike(small[i], small[j]):
                gone.add(max(pair, key=lambda c: (-size[c], c)))
    return gone


def _draw(packs: dict[str, dict], progress: bool) -> tuple[pd.DataFrame, list[np.ndarray]]:
    "The rows that remain, and their pictures, (256, 256, 3) uint8"
    rows = _find_icons(packs)
    for icon in packs['meteocons']['icons']['icons'].values():  # they move: rain begins where nothing is seen of it
        icon['body'] = icon['body'].replace('opacity="0"', '')
    def picture(row): return render(packs[row.package]['icons'], row.icon, 256, 238)
    pictures = map_threads(picture, rows.itertuples(), desc='icons', progress=progress)
    small = np.stack([np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.BOX)) for p in pictures])
    kept = _several_sources(rows.reset_index().drop(index=_copies(rows, small))).set_index('index')
    twins = _twins(kept, small)
    kept = kept[[c not in twins for c in zip(kept.domain, kept.label)]]
    return kept.reset_index(drop=True), [pictures[i] for i in kept.index]


# ---- in the cache


_LICENSES = '''# Attribution

Icons of the npm packages below, rendered on white at 256 pixels. Nobody named here endorses this library. Coins, brands
and file types are trademarks of their owners; the licenses are for the drawings.

| package | drawn by | license | pictures |
|---|---|---|--:|
'''


def _attribution(rows: pd.DataFrame, packs: dict[str, dict]) -> str:
    lines = []
    for package, n in rows.groupby('package', sort=False).size().items():
        info = packs[package]['info']
        version = next(v[package] for v in VERSIONS.values() if package in v)
        author, license = info['author'], info['license']
        by = f"{info['name']}, [{author['name']}]({author['url']})"
        terms = f"[{license['spdx']}]({license['url']})"
        lines.append(f'| `@iconify-json/{package}@{version}` | {by} | {terms} | {n:,} |\n')
    return _LICENSES + ''.join(lines)


def _make(folder: Path, progress: bool):
    "Fill an empty folder"
    packs = {name: fetch_icons(name, v) for packages in VERSIONS.values() for name, v in packages.items()}
    rows, pictures = _draw(packs, progress)
    rows['image'] = rows.domain.str.replace(' ', '-') + '/' + rows.package + '/' + rows.icon + '.png'
    rows['dataset'] = rows.domain
    for name, picture in zip(rows.image, pictures):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder/name)
    write_text(folder/'ATTRIBUTION.md', _attribution(rows, packs))
    write_table(rows[['image', 'label', 'dataset', 'domain', 'source']], folder/'annotations.csv')


def load_drawn(
    name: str,
    source: str,  # the file that says what is drawn: another text, other pictures
    make: Callable[[Path, bool], None],  # fills an empty folder, with progress or without
    progress: bool = True,
) -> tuple[pd.DataFrame, Path]:  # annotation table without splits, and what its paths are relative to
    "Pictures that are drawn once, and kept in the user's cache"
    made_by = hashlib.blake2b(Path(source).read_bytes(), digest_size=6).hexdigest()
    folder = cache_dir()/f'{name}-{made_by}'
    if not folder.exists():
        require_packages('drawing the icons', 'resvg-py')
        with atomic_path(folder) as new:
            new.mkdir(parents=True)
            make(new, progress)
    return read_table(folder/'annotations.csv'), folder


def load_domains(
    progress: bool = True,
) -> tuple[pd.DataFrame, Path]:  # as from `load_drawn`
    "The four domains, each a data set; a class has pictures by at least two designers, `source`"
    return load_drawn('domains', __file__, _make, progress)
