"""The gradients of one update as two compiled functions: those by hand, with fewer and larger operations.

Half of the time of an update by hand is spent between products: in Python, in the dispatch of some 700 small
operations, in their memory. `torch.compile` turns what lies between two products into one loop. It needs a C++
compiler, and time for each new size of networks and batches. Given the same actions, the gradients differ by
rounding alone; more actions are drawn, because shapes are fixed.
"""

import logging
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.cost.returns import bootstraps
from agent.errors import ConfigError
from agent.learning.fused_update import FusedUpdate
from agent.learning.losses import Losses, Predictions, WindowBatch

log = logging.getLogger(__name__)

ADVICE = "leave the setting out; --resume takes `--no-learning.compiled --override`"
NO_COMPILER = "learning.compiled: no C++ compiler was found"


def check_compiler() -> None:
    """Raises ConfigError where torch finds no C++ compiler that can be executed."""
    from torch._inductor import cpp_builder

    # The name in torch 2.4 is another one.
    found = vars(cpp_builder)
    find = found.get("get_cpp_compiler") or found["_get_cpp_compiler"]
    try:
        find()
    except (RuntimeError, OSError):
        raise ConfigError(f"{NO_COMPILER}; install one (g++ or clang++), or {ADVICE}") from None


def reason(error: BaseException) -> str:
    """What a compiler says of its failure, in one line."""
    while (inner := getattr(error, "inner_exception", None)) is not None:
        error = inner
    lines = str(getattr(error, "output", "") or error).strip().splitlines()
    telling = [line.strip() for line in lines if "error:" in line] or lines or [type(error).__name__]
    return telling[0][:200]


def with_own_code(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method with a copy of its code: torch counts compilations of a code, and refuses a ninth."""
    assert isinstance(method, MethodType)
    inner = method.__func__
    copy = FunctionType(
        inner.__code__.replace(), inner.__globals__, inner.__name__, inner.__defaults__, inner.__closure__
    )
    return MethodType(copy, method.__self__)


class Compiled:
    """A method, compiled as a whole at its first call, for each shape that it is called with.

    It is compiled in this process, one file after another, and draws torch's own random numbers.

    Args:
        method: has no branch that depends on the numbers of a tensor.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._fast: Callable[..., Any] | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether it has been called."""
        return self._fast is not None

    def __call__(self, *arguments: Any) -> Any:
        """The result of the method. Raises ConfigError where it cannot be compiled."""
        # Importing the compiler takes as long as importing torch.
        import torch._dynamo.config
        from torch._dynamo import exc

        if self._fast is None:
            options: dict[str, Any] = {"fallback_random": True, "compile_threads": 1}
            try:
                self._fast = torch.compile(
                    with_own_code(self._method), fullgraph=True, dynamic=False, options=options
                )
            except RuntimeError as error:  # this version of torch compiles nothing in this one of Python
                raise ConfigError(f"learning.compiled: {reason(error)}; {ADVICE}") from error
        failures = exc.TorchDynamoException, getattr(exc, "FailOnRecompileLimitHit", RuntimeError)
        with torch._dynamo.config.patch(capture_scalar_outputs=True):
            try:
                return self._fast(*arguments)
            except failures:
                log.info("compiling a gradient step failed; it is tried again")
            # Ctrl-C ends the compiler too. Once more: then the run ends as it does elsewhere.
            try:
                return self._fast(*arguments)
            except failures as error:
                raise ConfigError(
                    f"learning.compiled: torch could not compile a gradient step ({reason(error)}); {ADVICE}"
                ) from error


class CompiledUpdate(FusedUpdate):
    """As `FusedUpdate`, for the steps of training that follow the first: compiled, and with fixed shapes.

    Args:
        networks: as there, and so are `config`, `discount`, `tau` and `step_weight`.
    """

    def __init__(self, *shared: Any) -> None:
        super().__init__(*shared)
        self._gradients = Compiled(self.gradients)

    @property
    def discount(self) -> float:
        """Per decision."""
        return self._discount.item()

    @discount.setter
    def discount(self, value: float) -> None:
        # What is compiled takes a number for a constant, and is compiled anew for another; a tensor it reads.
        self._discount = torch.tensor(value, dtype=torch.float64)

    @property
    def is_compiled(self) -> bool:
        """Whether a compiled gradient has been computed."""
        return self._gradients.is_compiled

    @torch.inference_mode()
    def model(self, batch: WindowBatch, curiosity: float, encoder_frozen: bool) -> tuple[Losses, Predictions]:
        """As `FusedUpdate.model`."""
        return self._gradients(batch, curiosity, encoder_frozen, False)

    def next_value(
        self, target_z: Float[Tensor, "time batch latent"], valid: Bool[Tensor, "time batch"], whole: bool
    ) -> Float[Tensor, "time batch"]:
        """As `FusedUpdate.next_value`, by a value of every latent: shapes are fixed."""
        value = self.value(target_z.flatten(0, 1)).view(valid.shape)
        return torch.where(bootstraps(valid, self.config.n_step), value, 0.0)

    def usual(
        self, disagreement: Float[Tensor, " rows"], valid: Bool[Tensor, "time batch"], whole: bool
    ) -> Float[Tensor, ""]:
        """As `FusedUpdate.usual`."""
        share = valid.flatten().to(disagreement)
        return torch.lerp(self.networks.usual_disagreement, disagreement.dot(share) / share.sum(), self.tau)

    def one_step_target(
        self,
        cost: Float[Tensor, "time batch"],
        terminated: Float[Tensor, "time batch"],
        next_value: Float[Tensor, "time batch"],
    ) -> Float[Tensor, "time batch"]:
        """As `FusedUpdate.one_step_target`."""
        return cost + self._discount * (1.0 - terminated) * next_value

    def with_later(
        self, cost: Float[Tensor, "steps batch"], target: Float[Tensor, "steps batch"]
    ) -> Float[Tensor, "steps batch"]:
        """As `FusedUpdate.with_later`."""
        return cost + self._discount * target

    def with_bonus(
        self, cost: Float[Tensor, "time batch"], novelty: Float[Tensor, "time batch"], curiosity: float
    ) -> Float[Tensor, "time batch"]:
        """As `FusedUpdate.with_bonus`."""
        return cost - curiosity * self.cost_scale * novelty
