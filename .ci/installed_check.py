"""What a wheel promises, tried from outside the checkout: `python installed_check.py FOLDER COMMAND...`, run by .ci/checks.py.

All modules import without nbdev, the light ones without fastai.vision, all commands load, and a small real model trains."""
import importlib
import importlib.util
import pkgutil
import sys
from importlib.metadata import distribution
from pathlib import Path

LIGHT = 'images', 'tables', 'metrics', 'heads'


def light_modules():
    for name in LIGHT: importlib.import_module(f'unifex.{name}')
    heavy = [m for m in sys.modules if m == 'fastai.vision' or m.startswith('fastai.vision.')]
    assert not heavy, f'{LIGHT} import {heavy[0]}'


def all_modules():
    assert importlib.util.find_spec('nbdev') is None, 'nbdev is installed here: the check would prove nothing'
    import unifex
    assert unifex.__file__.startswith(sys.prefix), f'{unifex.__file__} is not the installed package'
    names = [m.name for m in pkgutil.walk_packages(unifex.__path__, 'unifex.')]
    for name in names: importlib.import_module(name)
    return f'{len(names)} modules'


def commands(named):
    found = {e.name: e for e in distribution('unifex-embeddings').entry_points if e.group == 'console_scripts'}
    for entry in found.values(): assert callable(entry.load()), entry
    missing = set(named) - set(found)
    assert not missing, f'README.md names commands that are not installed: {sorted(missing)}'
    return f'{len(found)} commands'


def learner(folder):
    import torch
    from unifex import load_run, train_unifex
    from unifex.datasets import dataset_root, load_dataset
    table = load_dataset('sample', n_classes=20, seed=42)
    learn = train_unifex('quickstart', data=table, output_dir=folder, root=str(dataset_root('sample')), store=str(folder/'store'),
                         epochs=2, model__backbone__model_name='test_vit', pretrained=False, weights='', img_size=None)
    losses = torch.stack(list(learn.recorder.losses))
    assert len(losses) and losses.isfinite().all(), losses
    vectors = learn.run.embedder.embed_batch(torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8))
    assert vectors.shape == (2, learn.run.embedder.out_dim), vectors.shape
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-4)
    picture = dataset_root('sample')/table.image[0]
    assert load_run(learn.run.folder).search(picture, k=1).image[0] == table.image[0]
    return f'{len(losses)} steps, loss {losses[0]:.2f} to {losses[-1]:.2f}'


if __name__ == '__main__':
    light_modules()
    print('NOTE', ', '.join([all_modules(), commands(sys.argv[2:]), learner(Path(sys.argv[1]))]))
