"""Sizes for 2 CPU cores and 10 minutes: real models, few steps and few classes."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Return the settings of each suite."""
    return ConfigDict(
        {
            "train": {
                "student": "ViT-B/32",
                "teacher": "ViT-L/14",
                "classes": (50,),
                "batches": (32,),
                "steps": 4,
                "repeats": 3,
                "once": ("coop+kdpl",),
                "kinds": ("whole", "cut"),
            },
            "whole_job": {
                "student": "ViT-B/32",
                "teacher": "ViT-L/14",
                "classes": 50,
                "shots": 16,
                "epochs": 50,
                "seeds": 3,
                "test_images": 1250,
                "images": 4,
                "regions": 4,
                "batch_size": 16,
                "workers": 2,
                "kdpl_steps": 1,
            },
            "memory": {
                "student": "ViT-B/32",
                "batch": 128,
                "ours": (1000,),
                "torch": (50, 100),
                "at": 1000,
            },
            "floor": {
                "student": "ViT-B/32",
                "classes": (50,),
                "batch": 128,
                "steps": 4,
                "repeats": 3,
                "ceiling_size": 2048,
            },
            "ril_io": {
                "images": 512,
                "regions": 500,
                "classes": 50,
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
