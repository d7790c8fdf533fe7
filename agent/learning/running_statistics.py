"""The running statistics by which an agent normalises what it observes and scales what it predicts."""

import torch

from agent.memory.columns import has_readouts, sees_pictures
from agent.memory.portions import portions
from agent.modules import Modules


def take_in_new_rows(modules: Modules) -> None:
    """Takes the rows of the replay buffer that arrived since the last call into the running statistics."""
    buffer, networks = modules.replay_buffer, modules.networks
    for number, stream in enumerate(buffer.streams):
        places = buffer.place(buffer.numbers(number, modules.normalised_rows[number], stream.total))
        # Statistics of numbers are those of all new rows at once, whatever their number.
        for part in portions(buffer, places) if sees_pictures(modules.env_spec) else [places]:
            networks.normalizer.update(modules.tensors(buffer.observations(part)))
        read = places[has_readouts(buffer.readout[places])]
        readout, cost, last = (
            torch.from_numpy(column[of]).to(modules.device)
            for column, of in ((buffer.readout, read), (buffer.cost, places), (buffer.last, places))
        )
        networks.readout_normalizer.update(readout)
        if modules.rewardless:
            networks.scale_novelty(modules.discount)
        else:
            networks.rescale(
                cost, last, modules.discount, number, episode_decisions=modules.env_spec.episode_limit
            )
        modules.normalised_rows[number] = stream.total
