"""Exports for torch 1.11, run in torch 1.11: a transformer, a ConvNeXt and the EfficientNet with its trained weights; three necks, three
ways to make the square. `python .ci/old_torch_check.py FOLDER`; the interpreter is `unifex.torch111.torch_1_11_python`'s."""
import sys, warnings
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent)); warnings.filterwarnings('ignore')
import torch
from unifex.backbones import create_backbone
from unifex.embedder import Embedder
from unifex.exports import export
from unifex.necks import create_neck
from unifex.torch111 import verify_torch_1_11

torch.manual_seed(42)
folder, found = Path(sys.argv[1]), []
for name, weights, neck, mode in (('vit_base_patch16_siglip_224', None, 'proj_layer', 'squash'), ('convnext_atto', None, 'pooling', 'pad'),
                                  ('tf_efficientnet_lite0', 'efficientnet_lite0', 'pca', 'crop')):
    b = create_backbone('timm', name, weights=weights, pretrained=weights is not None)
    n = create_neck(neck, b.out_dim, power=.5 if neck == 'pca' else None)
    if neck == 'pca': n.fit(torch.rand(200, b.out_dim))
    e = Embedder(b, n, replace(b.preproc, mode=mode))
    path = export(e, folder/f'{name}-1.11.pt')
    found.append(verify_torch_1_11(path, e, strict=True, install=False))
    print(name, neck, mode, found[-1], flush=True)
    assert found[-1] and len(found[-1].cosines) >= 5 and min(found[-1].cosines) > .999
print(f'NOTE torch {found[0].torch}, Python {found[0].python}: {len(found)} models, smallest cosine {min(c for v in found for c in v.cosines):.6f}')
