"""What the notebooks about the commands share: a command called as from a terminal, and pictures for it.

    work = make_pictures(12)                        # work/mine, a folder for each of twelve things
    print(shown(unifex_train, *tiny_training(work)))
    refused(unifex_search, work/'nowhere', 'photo.jpg')
"""
import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

from unifex.datasets import load_dataset, sample_root


def run(command, *args):
    "Exit status, standard output and error stream of a command"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: status = command([str(a) for a in args])
        except SystemExit as e: status = e.code
    return status, out.getvalue(), err.getvalue()


def shown(command, *args, work=''):
    "What a command prints that does what is asked, without the name of the temporary folder"
    status, out, err = run(command, *args)
    assert status == 0, err
    return out.replace(f'{work}/', '') if work else out


def told(command, *args):
    "What a command tells a script"
    return json.loads(shown(command, *args, '--json'))


def refused(command, *args):
    "The last line of a command that ends in exit status 2"
    status, _, err = run(command, *args)
    assert status == 2, (status, err)
    return err.splitlines()[-1]


def copy_pictures(labels, place):
    "A folder for each of these things of the sample, with its drawings"
    table = load_dataset('sample')
    for image in table.image[table.label.isin(labels)]:
        folder = Path(place)/Path(image).stem
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample_root()/image, folder/f'{Path(image).parent.name}.webp')


def make_pictures(n):
    "A temporary folder with `mine` in it: so many things of the sample, and two files that are no pictures"
    work = Path(tempfile.mkdtemp())
    copy_pictures(load_dataset('sample').label.unique()[:n], work/'mine')
    (work/'mine'/'broken').mkdir()
    for i in range(2): (work/'mine'/'broken'/f'{i}.jpg').write_bytes(b'not a picture')
    return work


def tiny_training(work, **options):
    "The words of a training of seconds: on `mine`, by a small network of random weights"
    given = dict(model__backbone__model_name='test_vit', weights='', pretrained='no', img_size='', store=work/'store',
                 epochs=1, device='cpu') | options
    words = [word for name, value in given.items() for word in (f'--{name}', value)]
    return ['quickstart', work/'mine', *words, '--output_dir', work/'results']
