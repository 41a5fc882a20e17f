"""The run-time type checker under jaxtyping's shapes, reading hints as the static one does."""

from typing import Any

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

# To a static checker an int is a float too, and `np.ndarray[Any, Any]` is an array of any kind.
_ANY_ARRAY = FrozenDict({np.ndarray[Any, Any]: np.ndarray})
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=_ANY_ARRAY))
