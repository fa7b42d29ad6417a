"""Every learner and loss at its published batch size: 6 minutes on 2 CPU cores."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Return the settings of the suite."""
    return ConfigDict(
        {
            "methods": {
                "student": "ViT-B/32",
                "teacher": "ViT-L/14",
                "classes": 50,
                "methods": (
                    *("cocoop", "vpt", "maple", "promptsrc", "kgcoop", "prograd"),
                    "promptkd",
                ),
                "repeats": 3,
                "waiting": ("vpt", "maple", "promptsrc"),
                "pictures": 16,
                "epochs": 2,
            },
        }
    )
