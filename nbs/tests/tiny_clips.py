"""Small models in the manner of open_clip's, given to it as JSON files like its own.

    tiny_vit         a vision transformer of two layers, 32 pixels
    tiny_vit_quick   the same, with the quick approximation of GELU
    tiny_vit_clipa   as CLIPA has it: without the first norm, the patches averaged
    tiny_convnext    a tower from timm, 64 pixels

    add_tiny_clips(folder)
    create_backbone('clip', 'tiny_vit', pretrained=False)
"""
import json
from pathlib import Path

import open_clip

VIT = dict(image_size=32, layers=2, width=48, head_width=16, patch_size=8)
TRUNK = dict(timm_model_name='test_convnext', timm_pool='', timm_proj='linear', image_size=64)
TEXT = dict(context_length=8, vocab_size=64, width=16, heads=2, layers=1)
CLIPA = dict(no_ln_pre=True, pool_type='avg', final_ln_after_pool=True)

CONFIGS = {
    'tiny_vit': dict(embed_dim=24, vision_cfg=VIT, text_cfg=TEXT),
    'tiny_vit_quick': dict(embed_dim=24, vision_cfg=VIT, text_cfg=TEXT, quick_gelu=True),
    'tiny_vit_clipa': dict(embed_dim=24, vision_cfg=VIT | CLIPA, text_cfg=TEXT),
    'tiny_convnext': dict(embed_dim=20, vision_cfg=TRUNK, text_cfg=TEXT),
}

# how a tag of open_clip says that pictures are prepared
PREPARED = dict(mean=(.1, .2, .3), std=(1., 1., 1.), interpolation='bilinear', resize_mode='squash')


def add_tiny_clips(folder):
    "Make the models known to open_clip; `folder` holds their JSON files"
    for name, config in CONFIGS.items():
        file = Path(folder)/f'{name}.json'
        file.write_text(json.dumps(config))
        open_clip.add_model_config(file)
