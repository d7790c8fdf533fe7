"""Whether an agent can act on readouts: it must have learned from them, and be able to read them."""

import warnings
from collections.abc import Sequence

from agent.cost.legibility import illegible, warning
from agent.cost.readouts import TaskError
from agent.modules import Modules
from agent.readout_legibility import legibility_in_memory
from joule_errors import Advice

_OF_ALL_DATA = ("action", "cost")


def check_readouts(modules: Modules, what: str, used: Sequence[str] | None = None) -> None:
    """Raises TaskError where the agent learned from data without readouts.

    Args:
        modules: those of the agent.
        what: is on readouts, for the sentence.
        used: the names that it reads, `action` and `cost` among them, which all data have.
    """
    on_readouts = used is None or any(name.partition(".")[0] not in _OF_ALL_DATA for name in used)
    if on_readouts and not learned_readouts(modules):
        raise TaskError(f"{what} is on readouts, and the data that this agent learned from have none")


def learned_readouts(modules: Modules) -> bool:
    """Whether some of what an agent learned from has readouts; an agent that has learned nothing may get them."""
    buffer = modules.replay_buffer
    if modules.readouts_size == 0:
        return True
    # The statistics are there where the replay buffer is not: in a shared run.
    return bool(modules.networks.readout_normalizer.count > 0) or not (
        any(modules.normalised_rows) or (buffer.held and not len(buffer.with_readouts()))
    )


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
