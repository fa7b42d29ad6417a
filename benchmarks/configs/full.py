"""Sizes for a machine with an NVIDIA GPU and 16 cores."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Return the settings of each suite."""
    return ConfigDict(
        {
            "train": {
                "student": "ViT-B/32",
                "teacher": "ViT-L/14",
                "classes": (50, 100, 500, 1000),
                "batches": (32, 128),
                "steps": 25,
                "repeats": 7,
                "once": (),
                "kinds": ("whole", "cut", "compiled"),
            },
            "whole_job": {
                "student": "ViT-B/32",
                "teacher": "ViT-L/14",
                "classes": 50,
                "shots": 16,
                "epochs": 50,
                "seeds": 3,
                "test_images": 1250,
                "images": 128,
                "regions": 128,
                "batch_size": 128,
                "workers": 0,
                "kdpl_steps": 25,
            },
            "memory": {
                "student": "ViT-B/32",
                "batch": 128,
                "ours": (50, 1000, 21000),
                "torch": (50, 500, 1000),
                "at": 1000,
            },
            "floor": {
                "student": "ViT-B/32",
                "classes": (50, 1000),
                "batch": 128,
                "steps": 25,
                "repeats": 7,
                "ceiling_size": 8192,
            },
            "ril_io": {
                "images": 2048,
                "regions": 500,
                "classes": 100,
                "keep": (5, 10, 15, 20, 25),
                "epoch_keep": 20,
                "width": 512,
                "records": 500,
                "batch": 128,
                "epochs": 50,
                "workers": 0,
                "repeats": 5,
            },
            "ril_build": {
                "teacher": "ViT-L/14",
                "student": "ViT-B/32",
                "dtype": "bfloat16",
                "images": 128,
                "regions": 128,
                "classes": 100,
                "height": 375,
                "width": 500,
                "keep": 20,
                "batch_size": 128,
                "workers": 0,
                "repeats": 5,
                "ceiling_size": 8192,
            },
            "encoders": {
                "models": ("ViT-B/32", "ViT-L/14"),
                "dtypes": ("float32", "bfloat16"),
                "batches": (1, 32, 256),
                "tokens": 77,
                "calls": 5,
                "repeats": 5,
            },
        }
    )
