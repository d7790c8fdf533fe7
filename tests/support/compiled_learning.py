"""Compares the compiled gradients of a run with those by hand: `python -m compiled_learning RUN`.

A program of its own, because the runtime checks of shapes that tests have cannot be compiled.
"""

from __future__ import annotations

import sys

import torch
from learner_pairs import gradients
from torch._dynamo.utils import counters

import joule
from agent.agent import WorldModelAgent
from agent.learning.fused_update import FusedUpdate


def main(run: str) -> None:
    """Every step of this run bootstraps, so that as many actions are drawn by hand."""
    agent = joule.load(run)
    assert isinstance(agent, WorldModelAgent)
    modules = agent.modules
    learner, learning = modules.learner, modules.config.learning
    assert learning.n_step == 1
    assert learner.compiled
    compiled = learner.compiled_update
    by_hand = FusedUpdate(learner.networks, learning, learner.discount, learner.tau, learner.weight)
    windows = modules.replay_buffer.sample(learning.batch_size, learning.window_decisions, modules.rng)
    batch, policy = learner.batch_of(windows), learner.policy_update
    z = torch.rand(2 * learning.batch_size, modules.config.model.latent_dim)
    found, drawn = [], []
    for update, policy_gradients in ((by_hand, policy.gradients), (compiled, policy.compiled_gradients)):
        torch.manual_seed(0)
        update.model(batch, learner.curiosity, False)
        with torch.inference_mode():
            policy_gradients(z, None, update.policy)
        found.append(gradients(learner).clone())
        drawn.append(torch.get_rng_state())
    assert compiled.is_compiled
    assert torch.equal(*drawn), "the same random numbers"
    difference = (found[0] - found[1]).norm() / found[0].norm()
    assert difference < 1e-4, difference
    compilations = counters["stats"]["unique_graphs"]
    for scale in (modules.networks.critic.scale, modules.networks.world_model.cost_scale):
        scale.mul_(1.1)
    compiled.discount = 0.9
    compiled.model(batch, learner.curiosity, False)
    assert counters["stats"]["unique_graphs"] == compilations, (
        "what changes in training compiles nothing anew"
    )


if __name__ == "__main__":
    main(sys.argv[1])
