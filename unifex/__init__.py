"""One short vector for any picture.

    from unifex import Embedder, Index, train_unifex, load_run

Each name is loaded when it is first asked for: `import unifex` alone brings in neither torch nor fastai.
`unifex.doc(train_unifex)` says what each argument is."""
import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"

# name -> the module that has it, and those that give it further methods
_DOOR = {
    'Embedder': ('embedder', 'index'), 'Embeddings': ('evaluation',), 'Index': ('index',), 'Report': ('evaluation',),
    'Run': ('runs',), 'compare': ('comparison',), 'doc': ('reference',), 'evaluate': ('evaluation',), 'export': ('exports',),
    'load_index': ('index',), 'load_run': ('runs',), 'train_unifex': ('learner',), 'zero_shot_unifex': ('learner',)}
__all__ = list(_DOOR)

if TYPE_CHECKING:
    from .comparison import compare
    from .embedder import Embedder
    from .evaluation import Embeddings, Report, evaluate
    from .exports import export
    from .index import Index, load_index
    from .learner import train_unifex, zero_shot_unifex
    from .reference import doc
    from .runs import Run, load_run

def __getattr__(name):
    if name not in _DOOR: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    modules = [importlib.import_module(f'{__name__}.{m}') for m in _DOOR[name]]
    globals()[name] = getattr(modules[0], name)
    return globals()[name]

def __dir__(): return [*__all__, '__version__']
