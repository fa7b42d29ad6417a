"""Sizes for trying everything on 2 cores in minutes; no timing of it is worth much."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """A sub-tree for each suite."""
    return ConfigDict(
        {
            "ril_io": {
                "images": 256,
                "regions": 500,
                "classes": 100,
                "keep": (5, 10, 15, 20, 25),
                "epoch_keep": 20,
                "width": 512,
                "records": 500,
                "batch": 128,
                "epochs": 20,
                "workers": 2,
                "repeats": 3,
            },
            "ril_build": {
                "teacher": "ViT-B/32",
                "student": "tiny",
                "dtype": "float32",
                "images": 2,
                "regions": 8,
                "classes": 20,
                "height": 375,
                "width": 500,
                "keep": 20,
                "batch_size": 8,
                "workers": 2,
                "repeats": 3,
                "ceiling_size": 1024,
            },
            "encoders": {
                "models": ("ViT-B/32",),
                "dtypes": ("float32",),
                "batches": (1, 8),
                "tokens": 77,
                "calls": 1,
                "repeats": 3,
            },
        }
    )
