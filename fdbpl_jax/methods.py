"""A method is a learner and an objective: "coop", "coop+kdpl", "coop+fdbpl" …"""

import dataclasses
import types
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Method:
    """What is learned and on what.

    Attributes:
      objective: "cross_entropy", "kdpl", "fdbpl" or "fdbpl_release".
      negative: a negative prompt is learned beside the positive one.
      online: the teacher runs on every batch of pixels, so no RIL table is read.
    """

    objective: str
    negative: bool = False
    online: bool = False


METHODS: Mapping[str, Method] = types.MappingProxyType(
    {
        "coop": Method("cross_entropy"),
        "coop+kdpl": Method("kdpl", online=True),
        "coop+fdbpl": Method("fdbpl", negative=True),
        "coop+fdbpl_release": Method("fdbpl_release", negative=True),
    }
)
