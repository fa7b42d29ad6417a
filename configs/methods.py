"""Every method, and where possible with KDPL's and FDBPL's loss; three seeds.

On the embedded shapes data, ten minutes on 2 CPU cores:

  python -m fdbpl_jax.main --config=configs/methods.py --workdir=methods

On other data sets, with published settings:

  python -m fdbpl_jax.main --config=configs/methods.py:caltech101,eurosat \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER

`launch/methods.sh` runs each method in a separate process, so that the report's peak
memory is that of the method alone. The results are in docs/methods.md.
"""

from ml_collections import ConfigDict

from configs import base2new
from fdbpl_jax.methods.table import METHODS

# "+kdpl-ca" needs a list of names; the released loss is a variant of FDBPL's.
_LEFT_OUT = ("+kdpl-ca", "+fdbpl_release")


def get_config(datasets: str = "") -> ConfigDict:
    """Return the settings for `datasets`, comma-separated; empty: two embedded ones."""
    config = base2new.get_config(datasets or "shapes-negative,shapes-plain")
    config.methods = ",".join(m for m in METHODS if not m.endswith(_LEFT_OUT))
    if datasets and not datasets.startswith("shapes"):
        return config
    # Chosen on validation images: docs/defaults.md.
    for name in ("coop", "coop_fdbpl", "kgcoop", "kgcoop_fdbpl", "upl"):
        config.tuned[name].lr = 0.02
    for name in ("coop_kdpl", "kgcoop_kdpl", "maple", "maple_kdpl", "maple_fdbpl"):
        config.tuned[name].lr = 0.01
    for name in ("promptkd", "promptkd_inductive"):
        config.tuned[name].lr = 0.0025
    for name in ("coop_fdbpl", "kgcoop_fdbpl", "prograd_fdbpl"):
        config.tuned[name].lr = 0.02
        config.tuned[name].batch_size = 32
    return config
