"""Whether an agent can act on readouts: it must have learned from them, and be able to read them."""

import warnings
from collections.abc import Sequence

from agent.cost.legibility import illegible, warning
from agent.cost.readouts import TaskError
from agent.modules import Modules
from agent.readout_legibility import legibility_in_memory
from joule_errors import Advice


def check_readouts(modules: Modules, what: str) -> None:
    """Raises TaskError where the agent learned from data without readouts, which are then all 0.

    Args:
        modules: those of the agent.
        what: is on readouts, for the sentence.
    """
    # The statistics are those of all data, and they are there where the replay buffer is not: in a shared run.
    seen = modules.networks.readout_normalizer
    if modules.config.data and seen.count > 0 and not (seen.mean.any() or seen.variance.any()):
        raise TaskError(f"{what} is on readouts, and the data that this agent learned from have none")


def warn_of_illegible(modules: Modules, kind: str, used: Sequence[str], *, stacklevel: int) -> None:
    """Warns of readouts that the agent cannot read; see `cost.legibility`.

    Args:
        modules: those of the agent.
        kind: what acts on them, for the sentence.
        used: names of readouts.
        stacklevel: as `warnings.warn` takes it, from the caller of this function.
    """
    legibility = legibility_in_memory(modules)
    wanted = illegible(modules.layout(), legibility, used)
    if wanted:
        said = warning(modules.layout(), kind, wanted, legibility)
        warnings.warn(said, Advice, stacklevel=stacklevel + 1)
