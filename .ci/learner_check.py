"""Train a tiny real model from the installed package: `python learner_check.py OUTPUT_DIR`. Run by .ci/checks.py from outside the checkout."""
import sys
from pathlib import Path
import torch
from unifex.datasets import dataset_root, load_dataset
from unifex import load_run, train_unifex

out = Path(sys.argv[1])
torch.manual_seed(42); torch.set_num_threads(2)
table = load_dataset('sample', n_classes=20, seed=42)
learn = train_unifex('quickstart', data=table, output_dir=out, root=str(dataset_root('sample')), store=str(out/'store'), epochs=2,
                     model__backbone__model_name='test_vit', pretrained=False, weights='', img_size=None)
losses = [float(l) for l in learn.recorder.losses]
assert losses and all(l == l and l < float('inf') for l in losses), losses
vectors = learn.run.embedder.embed_batch(torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8))
assert vectors.shape == (2, learn.run.embedder.out_dim), vectors.shape
assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-4)
picture = dataset_root('sample')/table.image[0]
assert load_run(learn.run.folder).search(picture, k=1).image[0] == table.image[0]
print('NOTE', f'{len(losses)} steps, loss {losses[0]:.2f} to {losses[-1]:.2f}')
