"""Regularisers: they keep the representation from collapsing.

The prediction loss of a joint-embedding predictor is least where every observation has the same latent. A
regulariser prevents that. It defines how the raw latent is projected, which encoder computes the targets, and
which penalty is added to the loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.kinds import REGULARIZERS, home_of
from agent.errors import ConfigError
from joule_errors.user_code import making
from joule_schema.errors import SchemaError
from joule_schema.own_modules import class_of
from planners.base import setting


@runtime_checkable
class Regularizer(Protocol):
    """What every regulariser has."""

    @property
    def ema_target(self) -> bool:
        """Whether prediction targets come from a moving average of the encoder."""
        ...

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """The latent of the encoder's or the dynamics' raw output."""
        ...

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """The penalty on a batch of latents."""
        ...


@runtime_checkable
class ContrastiveRegularizer(Regularizer, Protocol):
    """What tells predicted latents apart too. Its targets are those of the encoder, with their gradient.

    Dynamics then predict the change of a latent (`predicts_changes`). What stays where it is costs no error, and is
    kept in latents: where the next latent was predicted, a block that is pushed now and then was not.
    """

    @property
    def windows_per_episode(self) -> int:
        """Windows of a batch that come from one episode."""
        ...

    def contrast(
        self,
        predicted: Float[Tensor, "steps batch latent"],
        following: Float[Tensor, "steps batch latent"],
        valid: Bool[Tensor, "steps batch"],
    ) -> Float[Tensor, ""]:
        """The penalty on predicted latents, those that followed, and where a step belongs to its episode."""
        ...


def simplicial_norm(raw: Float[Tensor, "*rows latent"], group: int) -> Float[Tensor, "*rows latent"]:
    """Softmax over groups of `group` entries: every group is a point of a simplex.

    Lavoie et al. 2022 (Simplicial Embeddings), used as SimNorm in Hansen et al. 2024 (TD-MPC2). The members
    of a group are strided, not adjacent: on a CPU a softmax over an axis that is not the last is many times
    faster, and the network can learn either layout.
    """
    return raw.unflatten(-1, (group, -1)).softmax(-2).flatten(-2)


@dataclass(frozen=True)
class SimNorm:
    """Bounded, sparse latents: each group of entries is a softmax (`simplicial_norm`)."""

    group_size: int = setting(8, 2, 256)
    """Entries of the latent in one group of the softmax."""
    ema_target: ClassVar[bool] = False

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """Softmax over groups."""
        return simplicial_norm(raw, self.group_size)

    def holds(self, z: Float[Tensor, "*rows latent"]) -> bool:
        """Whether each group of these latents is a point of a simplex."""
        sums = z.unflatten(-1, (self.group_size, -1)).sum(-2)
        return bool((z >= 0.0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4))

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """No penalty."""
        return z.new_zeros(())


@dataclass(frozen=True)
class NoRegularizer:
    """No projection and no penalty: the baseline of the comparison. The representation may collapse."""

    ema_target: ClassVar[bool] = False

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """The raw output itself."""
        return raw

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """No penalty."""
        return z.new_zeros(())


@dataclass(frozen=True)
class MovingAverageTarget(NoRegularizer):
    """Prediction targets from a moving-average copy of the encoder (Grill et al. 2020, BYOL)."""

    ema_target: ClassVar[bool] = True


@dataclass(frozen=True)
class VICReg:
    """Keeps every dimension's standard deviation above one, and the dimensions uncorrelated.

    Bardes et al. 2022, equations 1 to 4: the variance hinge and the covariance. Their invariance term is the
    latent prediction itself.
    """

    covariance_weight: float = setting(0.04, 0.0, 1e6)
    """Weight of the covariance term; the variance term has weight 1."""
    ema_target: ClassVar[bool] = False

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """The raw output itself."""
        return raw

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """Variance hinge plus weighted covariance."""
        centred = z - z.mean(0)
        rows, latent = z.shape
        std = (centred.square().sum(0) / max(rows - 1, 1) + 1e-4).sqrt()
        covariance = centred.T @ centred / max(rows - 1, 1)
        off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
        return F.relu(1.0 - std).mean() + self.covariance_weight * off_diagonal / latent


@dataclass(frozen=True)
class SIGReg:
    """Moves latents towards an isotropic Gaussian, by random one-dimensional projections.

    Balestriero and LeCun 2025 (LeJEPA): the Epps-Pulley statistic, which is the weighted distance between the
    empirical characteristic function of a projection and that of N(0, 1), by the trapezoidal rule on `knots`
    points of [0, 3].
    """

    projections: int = setting(64, 1, 65_536)
    """Random one-dimensional projections per batch."""
    knots: int = setting(17, 2, 1_025)
    """Points at which the integral over frequencies is evaluated."""
    ema_target: ClassVar[bool] = False

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """The raw output itself."""
        return raw

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """The statistic, averaged over projections drawn anew at every call."""
        directions = torch.randn(z.shape[1], self.projections, device=z.device, dtype=z.dtype)
        projected = z @ F.normalize(directions, dim=0)  # rows projections
        t = torch.linspace(0.0, 3.0, self.knots, device=z.device, dtype=z.dtype)
        gaussian = torch.exp(-0.5 * t.square())
        phase = projected.unsqueeze(-1) * t  # rows projections knots
        distance = (phase.cos().mean(0) - gaussian).square() + phase.sin().mean(0).square()
        # The integrand is even in t: twice the half line.
        statistic = 2.0 * torch.trapezoid(distance * gaussian, t, dim=-1)
        return statistic.mean() * z.shape[0] / 100.0


@dataclass(frozen=True)
class Contrast:
    """Tells each predicted latent apart from what followed in the other windows of the batch.

    Van den Oord et al. 2018 (contrastive predictive coding, InfoNCE), with squared distances in place of a product:
    distances of latents are what plans for goals go by. Many windows are of one episode. What never changes within
    one, such as the colour of a target, tells these not apart, and so it is what moves that latents have to show.
    """

    temperature: float = setting(0.1, 0.001, 1_000.0)
    """Squared distance between latents that counts as much as a factor e in probability."""
    windows_per_episode: int = setting(16, 1, 65_536)
    """Windows of a batch that come from one episode; where it has fewer, the others start anywhere."""
    ema_target: ClassVar[bool] = False

    def project(self, raw: Float[Tensor, "*rows latent"]) -> Float[Tensor, "*rows latent"]:
        """The raw output itself."""
        return raw

    def loss(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, ""]:
        """No penalty on latents by themselves."""
        return z.new_zeros(())

    def contrast(
        self,
        predicted: Float[Tensor, "steps batch latent"],
        following: Float[Tensor, "steps batch latent"],
        valid: Bool[Tensor, "steps batch"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy of which latent followed, averaged over the valid steps."""
        squares = (
            predicted.square().sum(-1).unsqueeze(2)
            + following.square().sum(-1).unsqueeze(1)
            - 2.0 * predicted @ following.transpose(1, 2)
        )
        # What a window rests on after the end of its episode is its last latent again, not another one.
        logits = (squares / -self.temperature).masked_fill(~valid.unsqueeze(1), -torch.inf)
        own = torch.arange(predicted.shape[1], device=predicted.device).expand(len(predicted), -1)
        return F.cross_entropy(logits[valid], own[valid])


@dataclass(frozen=True)
class Sensors(NoRegularizer):
    """Latents are the normalised numbers of the observation, as they are: nothing is learned that could collapse.

    Where a robot's sensors say all that goals are about, no encoder can tell more of them, and a learned one tells
    less of what seldom moves.
    """


def predicts_changes(regularizer: Regularizer) -> bool:
    """Whether dynamics predict by how much an action changes a latent, and plans for goals have such dynamics."""
    return isinstance(regularizer, (ContrastiveRegularizer, Sensors))


def make(kind: str, settings: Mapping[str, Any] | None = None) -> Regularizer:
    """The regulariser of a kind, with its own settings.

    Args:
        kind: one of `agent.configurator.kinds.REGULARIZERS`, or `module:Class` for one of your own.
        settings: the kind's own settings that differ from its defaults.

    Raises:
        ValueError: for an unknown kind.
        ConfigError: for a class that cannot be had, or that raises where it is made.
    """
    home = home_of("regularizer", kind)
    if home is None:
        raise ValueError(f"regularizer: {kind!r} is none of {', '.join(REGULARIZERS)}")
    module, _, name = home.partition(":")
    try:
        of_kind = class_of(home)
    except SchemaError as error:
        raise ConfigError(f"regularizer.kind: {error}") from error
    with making(f"regularizer {kind}", module, ConfigError):
        made: Regularizer = of_kind(**(settings or {}))
    if lacks := [part for part in ("project", "loss", "ema_target") if not hasattr(made, part)]:
        raise ConfigError(f"regularizer.kind: {name} has no {lacks[0]}")
    return made
