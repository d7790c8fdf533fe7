"""One gradient step: which parameters it moves, and what has no influence on it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agent.configurator.settings import Config, LearningConfig, ModelConfig, RegularizerConfig
from agent.learning.flat_parameters import FlatParameters
from agent.learning.learner import Learner
from agent.memory.windows import Windows
from agent.networks import Networks
from envs.env_spec import ObservationPart

OBS, ACT, READOUTS, BATCH, WINDOW = 5, 2, 3, 32, 3
KINDS = ("simnorm", "ema", "vicreg", "sigreg", "contrast", "sensors", "none")


def small_learner(regularizer: str = "simnorm", seed: int = 0, **settings: Any) -> Learner:
    """A learner of small networks; `settings` are those of `LearningConfig`, and curiosity."""
    torch.manual_seed(seed)
    curiosity, weight = settings.pop("curiosity", 0.0), settings.pop("regularizer_weight", 1.0)
    chosen: dict[str, Any] = {"batch_size": BATCH, "window_decisions": WINDOW}
    chosen |= {"learning_rate": 1e-3, "encoder_learning_rate": 1e-3, **settings}
    learning = LearningConfig(**chosen)
    model = ModelConfig(latent_dim=16, hidden_dim=32, head_width=16)
    config = Config(model=model, regularizer=RegularizerConfig(kind=regularizer), learning=learning)
    networks = Networks((ObservationPart("state", (OBS,), "float32"),), ACT, READOUTS, config)
    learner = Learner(
        networks, learning, lambda: 0.97, target_entropy=-0.5, curiosity=curiosity, regularizer_weight=weight
    )
    windows = batch()
    assert isinstance(windows.obs, np.ndarray)
    networks.normalizer.update(torch.from_numpy(windows.obs.reshape(-1, OBS)))
    networks.readout_normalizer.update(torch.from_numpy(windows.readout.reshape(-1, READOUTS)))
    return learner


def batch(time: int = WINDOW, seed: int = 0) -> Windows:
    """Windows of a stable linear system; the first quarter ends after one transition, some by termination."""
    rng = np.random.default_rng(seed)
    a, b = 0.4 * rng.normal(size=(OBS, OBS)), rng.normal(size=(OBS, ACT))
    obs = [rng.normal(size=(BATCH, OBS))]
    action = rng.uniform(-1, 1, (time, BATCH, ACT))
    for k in range(time):
        obs.append(obs[-1] @ a.T + action[k] @ b.T)
    observed = np.stack(obs)
    valid = np.ones((time, BATCH), bool)
    valid[1:, : BATCH // 4] = False
    terminated = np.zeros((time, BATCH))
    terminated[0, : BATCH // 8] = 1
    floats = (observed, action, np.square(observed[1:]).mean(-1), terminated)
    o, u, c, t = (x.astype(np.float32) for x in floats)
    return Windows(o, u, c, t, valid, np.ascontiguousarray(o[..., :READOUTS] * 10 + 3))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    """Names of the tensors that changed, bit for bit."""
    return {name for name, value in module.state_dict().items() if not torch.equal(before[name], value)}


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


@pytest.mark.parametrize("max_grad_norm", [1e9, 0.05])
def test_a_flat_group_steps_as_adam_does_on_separate_parameters(max_grad_norm: float) -> None:
    ours, theirs = network(), network()
    group = FlatParameters([(list(ours[0].parameters()), 1e-2), (list(ours[2].parameters()), 1e-3)])
    rates = [{"params": theirs[0].parameters(), "lr": 1e-2}, {"params": theirs[2].parameters(), "lr": 1e-3}]
    adam = torch.optim.Adam(rates, eps=1e-8)
    x = torch.randn(8, 4)
    for scale in (1.0, 5.0, 0.2, 1.0):
        group.zero_grad()
        adam.zero_grad()
        for net in (ours, theirs):
            (scale * net(x).square().sum()).backward()
        norm = group.step(max_grad_norm)
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), max_grad_norm)
        adam.step()
        torch.testing.assert_close(norm, expected)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_the_parameters_of_a_flat_group_stay_views_of_it() -> None:
    net = network()
    group = FlatParameters([(list(net.parameters()), 1e-2)])
    (vector,) = group.vectors
    net(torch.randn(3, 4)).sum().backward()
    net.load_state_dict(network().state_dict())
    for p in net.parameters():
        assert p.untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()
        assert p.grad is not None
        assert vector.grad is not None
        assert p.grad.untyped_storage().data_ptr() == vector.grad.untyped_storage().data_ptr()
    assert sum(p.numel() for p in net.parameters()) == vector.numel()
    group.zero_grad()
    assert not any(p.grad.any() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(poison: float) -> None:
    net = network()
    group = FlatParameters([(list(net.parameters()), 1e-2)])
    net(torch.randn(3, 4)).sum().backward()
    group.step(1.0)
    before = weights(net)
    state = {k: v.clone() for k, v in group.moments[0].items()}
    net(torch.randn(3, 4) * poison).sum().backward()
    assert not torch.isfinite(group.step(1.0))
    assert moved(before, net) == set()
    assert all(torch.equal(state[k], v) for k, v in group.moments[0].items())


@pytest.mark.parametrize("measure", [False, True])
@pytest.mark.parametrize("field", ["obs", "cost", "action", "readout"])
def test_an_update_that_is_not_finite_is_counted_and_changes_nothing(field: str, measure: bool) -> None:
    learner = small_learner()
    learner.update(batch())
    before = weights(learner.networks)
    bad = batch()
    column = getattr(bad, field)
    column[(0,) * column.ndim] = np.nan
    learner.update(bad, measure=measure)
    assert (learner.skipped, moved(before, learner.networks)) == (1, set())
    learner.update(batch())
    assert (learner.skipped, learner.updates) == (1, 3)
    assert all(bool(v.isfinite().all()) for v in weights(learner.networks).values())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_updates_on_one_batch_learn_it_with_every_regulariser(kind: str) -> None:
    learner = small_learner(kind)
    windows = batch()
    first = learner.update(windows, measure=True)
    for _ in range(50):
        learner.update(windows)
    last = learner.update(windows, measure=True)
    assert learner.skipped == 0
    assert all(np.isfinite(value) for value in (first | last).values())
    names = ["loss/cost", "loss/termination", "latent/readout_error"]
    names += ["loss/prediction"] if kind in ("simnorm", "none") else []
    assert [name for name in names if not last[name] < 0.9 * first[name]] == []
    if kind in ("vicreg", "sigreg"):  # a shrinking latent lowers the prediction loss: they prevent it
        assert last["latent/std"] > 0.9 * first["latent/std"]


def test_the_readout_loss_does_not_shape_the_latent() -> None:
    others = [f"{name}_weight" for name in ("prediction", "cost", "critic", "termination", "regularizer")]
    off: dict[str, Any] = dict.fromkeys(others, 0.0)
    learner = small_learner(**off)
    before = weights(learner.networks)
    for _ in range(3):
        learner.update(batch())
    changed = {name.split(".")[0] for name in moved(before, learner.networks)}
    assert changed == {"readout", "policy", "spread", "log_entropy_weight", "usual_disagreement"}


def test_neither_the_target_nor_the_policy_loss_reaches_the_model() -> None:
    # With the prediction loss alone, nothing but encoder and dynamics may move; the policy has its own step.
    others = [f"{name}_weight" for name in ("cost", "critic", "termination", "regularizer")]
    off: dict[str, Any] = dict.fromkeys(others, 0.0)
    learner = small_learner("ema", **off)
    before = weights(learner.networks)
    learner.update(batch())
    changed = {".".join(name.split(".")[:2]) for name in moved(before, learner.networks)}
    expected = {
        "encoder",
        "target_encoder",
        "policy",
        "readout",
        "spread",
        "log_entropy_weight",
        "usual_disagreement",
        "world_model",
    }
    assert {name.split(".")[0] for name in changed} == expected
    assert not any(name.startswith("world_model.cost") for name in changed)


@pytest.mark.parametrize("tau", [0.0, 0.05, 1.0])
def test_target_networks_follow_at_the_rate_tau(tau: float) -> None:
    learner = small_learner("ema", tau=tau)
    networks = learner.networks
    learner.update(batch())  # so that the target has fallen behind
    before = weights(networks)
    learner.update(batch(seed=1))
    for name in ("encoder", "critic"):
        for key, now in getattr(networks, name).state_dict().items():
            old = before[f"target_{name}.{key}"]
            expected = old + tau * (now - old)
            got = getattr(networks, f"target_{name}").state_dict()[key]
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)


def test_without_a_moving_average_the_encoder_is_its_own_target() -> None:
    networks = small_learner("simnorm").networks
    assert networks.target_encoder is networks.encoder


@pytest.mark.parametrize("kind", ["simnorm", "ema", "vicreg", "sigreg"])
@pytest.mark.parametrize("n_step", [1, 3])
def test_what_lies_beyond_an_episodes_end_has_no_influence(kind: str, n_step: int) -> None:
    time = WINDOW + n_step - 1
    windows = batch(time)
    rng = np.random.default_rng(7)
    beyond = ~windows.valid
    other = dataclasses.replace(windows, **{name: value.copy() for name, value in vars(windows).items()})
    assert isinstance(other.obs, np.ndarray)
    other.obs[1:][beyond] = rng.normal(size=(beyond.sum(), OBS)) * 100
    other.readout[1:][beyond] = 1e3
    other.cost[beyond] = 1e4
    other.terminated[beyond] = 1 - other.terminated[beyond]
    results = []
    for one in (windows, other):
        learner = small_learner(kind, n_step=n_step)
        torch.manual_seed(11)
        metrics = [learner.update(one, measure=True) for _ in range(2)]
        for measured in metrics:
            del measured["critic/target_mean"]  # a mean over all rows, which trains nothing
        results.append((metrics, weights(learner.networks)))
    (metrics, after), (other_metrics, other_after) = results
    for ours, theirs in zip(metrics, other_metrics, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for name, value in after.items():
        torch.testing.assert_close(value, other_after[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_masked_window_counts_by_its_valid_transitions() -> None:
    # Windows that are masked after their first step have the loss of windows that are one step long.
    windows = batch()
    assert isinstance(windows.obs, np.ndarray)
    windows.valid[1:] = False
    short = Windows(
        windows.obs[:2], windows.action[:1], windows.cost[:1], windows.terminated[:1], windows.valid[:1],
        windows.readout[:2],
    )  # fmt: skip
    long_loss = small_learner(window_decisions=3, rho=1.0).update(windows, measure=True)
    short_loss = small_learner(window_decisions=1, rho=1.0).update(short, measure=True)
    for name in ("loss/prediction", "loss/cost", "loss/critic", "loss/termination"):
        assert long_loss[name] == pytest.approx(short_loss[name], rel=1e-4), name


def test_novelty_is_disagreement_over_the_usual_one() -> None:
    learner = small_learner()
    windows = batch()
    m = learner.networks
    with torch.no_grad():
        z = m.encoder(m.normalizer(torch.from_numpy(windows.obs)))[:-1]
        action, valid = torch.from_numpy(windows.action), torch.from_numpy(windows.valid)
        step = m.world_model.predict(z.flatten(0, 1), action.flatten(0, 1))
        expected = step.disagreement.view(valid.shape)
    novelty, usual = learner.autograd.novelty(z, action, valid)
    assert usual == pytest.approx(expected[valid].mean().item())
    torch.testing.assert_close(novelty, (expected / usual).clamp(max=5.0))
    m.usual_disagreement.fill_(usual.item() / 100.0)
    novelty, later = learner.autograd.novelty(z, action, valid)
    assert novelty.max() == 5.0
    assert usual / 100.0 < later < usual  # the average moves at the rate tau


def test_curiosity_lowers_the_cost_to_go_but_not_the_cost() -> None:
    def learned(curiosity: float) -> dict[str, float]:
        learner = small_learner(curiosity=curiosity, critic_weight=1.0)
        windows = batch()
        for _ in range(20):
            learner.update(windows)
        return learner.update(windows, measure=True)

    plain, curious = learned(0.0), learned(1.0)
    assert curious["critic/target_mean"] < plain["critic/target_mean"] - 0.5
    assert curious["loss/cost"] == pytest.approx(plain["loss/cost"], rel=0.1)


def test_a_frozen_encoder_does_not_move_and_neither_do_its_moments() -> None:
    learner = small_learner()
    learner.update(batch())  # so that the moments are not zero
    before = weights(learner.networks)
    state = learner.model_group.copied_moments()[0]
    for seed in range(1, 4):
        learner.update(batch(seed=seed), encoder_frozen=True)
    changed = {name.split(".")[0] for name in moved(before, learner.networks)}
    assert {"world_model", "critic", "policy", "readout"} <= changed
    assert "encoder" not in changed
    after = learner.model_group.moments[0]
    assert all(torch.equal(value, after[name]) for name, value in state.items())
    learner.update(batch())
    assert any(name.startswith("encoder.") for name in moved(before, learner.networks))


def test_the_target_of_a_frozen_encoder_stays_too() -> None:
    learner = small_learner("ema")
    learner.update(batch())
    before = {name: value.clone() for name, value in learner.networks.target_encoder.state_dict().items()}
    critic = learner.networks.target_critic.state_dict()
    critic = {name: value.clone() for name, value in critic.items()}
    learner.update(batch(seed=1), encoder_frozen=True)
    after = learner.networks.target_encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    moved_critic = learner.networks.target_critic.state_dict()
    assert not all(torch.equal(value, moved_critic[name]) for name, value in critic.items())
    learner.update(batch(seed=2))
    after = learner.networks.target_encoder.state_dict()
    assert not all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_frozen_encoder_gets_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = small_learner(fused=False)
    graphs: list[bool] = []
    forward = learner.networks.encoder.forward

    def recorded(*given: Any) -> Tensor:
        z = forward(*given)
        graphs.append(z.requires_grad)
        return z

    monkeypatch.setattr(learner.networks.encoder, "forward", recorded)
    learner.update(batch())
    assert graphs == [False, True], "the targets without gradient, then the first latent with it"
    graphs.clear()
    learner.update(batch(), encoder_frozen=True)
    assert graphs == [False, False]


def test_the_other_networks_learn_beside_a_frozen_encoder_as_beside_a_learning_one() -> None:
    # One step from the same state: the encoder's gradient has no part in theirs, unless the norm is clipped.
    after = []
    for frozen in (False, True):
        learner = small_learner(max_grad_norm=1e9)
        torch.manual_seed(5)
        learner.update(batch(), encoder_frozen=frozen)
        after.append(weights(learner.networks.world_model))
    for name, value in after[0].items():
        assert torch.equal(value, after[1][name]), name


def test_a_share_of_the_learning_rates_holds_for_one_step() -> None:
    """Adam's first step is as long as its rate, whatever the gradient."""
    steps = []
    for share in (1.0, 0.25):
        learner = small_learner()
        before = learner.networks.encoder.out.weight.detach().clone()
        learner.update(batch(), rate_share=share)
        steps.append(learner.networks.encoder.out.weight.detach() - before)
    assert steps[0].any()
    torch.testing.assert_close(steps[1], 0.25 * steps[0], rtol=1e-3, atol=1e-6)
    learner.update(batch())
    assert learner.model_group.rate_share == learner.policy_group.rate_share == 1.0


def test_the_curiosity_of_one_step_replaces_that_of_the_learner() -> None:
    after = []
    for own, given in ((1.0, 0.0), (0.0, None)):
        learner = small_learner(curiosity=own)
        torch.manual_seed(5)
        learner.update(batch(), curiosity=given)
        after.append(weights(learner.networks))
    for name, value in after[0].items():
        assert torch.equal(value, after[1][name]), name


@pytest.mark.parametrize(("kind", "window"), [("simnorm", 3), ("simnorm", 1), ("ema", 3)])
def test_inverse_dynamics_shapes_the_encoder_and_changes_no_target(kind: str, window: int) -> None:
    settings = {"window_decisions": window, "n_step": 1}
    with_inverse = small_learner(kind, inverse_weight=1.0, **settings)
    without = small_learner(kind, **settings)
    windows = batch(window)
    views = [one.autograd.predict(one.batch_of(windows), 0.0, False)[0] for one in (with_inverse, without)]
    torch.testing.assert_close(views[0].target_z, views[1].target_z)
    assert not views[0].target_z.requires_grad
    assert views[1].following is None
    for one in (with_inverse, without):
        one.update(windows)
    steps = [one.model_group.vectors[0] for one in (with_inverse, without)]
    assert not torch.allclose(steps[0], steps[1])


def test_the_encoder_learns_at_the_rate_that_is_set() -> None:
    def largest_step(rate: float) -> float:
        learner = small_learner(encoder_learning_rate=rate)
        before = weights(learner.networks.encoder)
        learner.update(batch())
        after = learner.networks.encoder.state_dict()
        return max(float((after[name] - value).abs().max()) for name, value in before.items())

    # Adam's first step is the rate itself, whatever the gradient.
    assert largest_step(1e-2) == pytest.approx(1e-2, rel=0.01)
    assert largest_step(1e-4) == pytest.approx(1e-4, rel=0.01)
