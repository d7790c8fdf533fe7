"""Signals of a changed world, on synthetic steps: false alarms, biased errors, falls, determinism."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agent.world_model import signals
from agent.world_model.change_detection import threshold_for
from agent.world_model.correction_statistic import CorrectionTest
from agent.world_model.home_episodes import HomeEpisodes
from agent.world_model.observed_steps import ObservedSteps
from agent.world_model.residuals import HomeResiduals
from agent.world_model.signals import WEIGHTS, Kind, Signals, StepWeight, calibrated, tail_threshold

LATENT, ACT = 16, 2


def world(
    seed: int, rows: int, *, pull: float = 0.0, falls: float = 0.0, worse: float = 0.0
) -> ObservedSteps:
    """Steps whose errors are biased by the state, and `pull` times by the action."""
    rng = np.random.default_rng(seed)
    z, action = rng.normal(size=(rows, LATENT)) / 4.0, rng.uniform(-1, 1, (rows, ACT))
    disagreement = np.exp(rng.normal(-3.0, 0.2, rows))
    bias = 0.1 * (z + z**2)
    noise = rng.standard_t(6, (rows, LATENT)) * disagreement[:, None]
    changed = pull * disagreement.mean() * action @ np.ones((ACT, LATENT))
    return ObservedSteps(
        z, np.concatenate((action, z), 1), bias + noise + changed, disagreement,
        rng.normal(size=rows) + worse, rng.random(rows) < falls,
    )  # fmt: skip


def home(rows: int = 3_000) -> HomeEpisodes:
    return HomeEpisodes(world(0, rows), np.arange(rows) // 200)


@pytest.fixture(scope="module")
def watching() -> Signals:
    return Signals(home(), 50_000.0)


@pytest.mark.parametrize("rows", [1_000, 1_100, 1_499, 2_000])
def test_half_of_the_known_world_is_near_a_half_though_one_episode_has_most_of_it(rows: int) -> None:
    number = np.arange(rows)
    episode = np.where(number < 1_000, 0, 1 + (number - 1_000) // 100)
    assert 0.3 <= HomeEpisodes(world(0, rows), episode).halves.mean() <= 0.7


def test_a_signal_that_never_rose_in_the_known_world_notices_a_change_but_not_one_large_number() -> None:
    rows = 1_000
    steps = dataclasses.replace(world(0, rows), shortfall=np.where(np.arange(rows) % 2, 1.0, -1.0))
    watching = Signals(HomeEpisodes(steps, np.arange(rows) // 200), 50_000.0)
    later = dataclasses.replace(world(1, 9), shortfall=np.array([50.0, 0.0, 0.0, *[5.0] * 6]))
    assert alarms(watching, later) == [(8, "shortfall")]


def alarms(watching: Signals, steps: ObservedSteps) -> list[tuple[int, str]]:
    """Step and signal of each alarm; the tests start again after each."""
    watching.reset()
    found = []
    for row in range(len(steps)):
        if alarm := watching.update(steps.at(np.array([row]))):
            found.append((row, alarm.signal))
            watching.watch_anew()
    return found


def test_the_known_world_raises_no_alarm(watching: Signals) -> None:
    assert alarms(watching, world(1, 1_000)) == []


def lying_still(seed: int, rows: int) -> ObservedSteps:
    """A robot that moves, and then stays where it is, off by the same rare error at every decision."""
    moving = world(seed, rows)
    last = np.minimum(np.arange(rows), 20)
    still = dataclasses.replace(
        moving.at(last), error=moving.error + 2.0 * moving.error.std() * (last == 20)[:, None]
    )
    return dataclasses.replace(still, z=still.z + 1e-4 * moving.z)


def test_an_error_that_stays_because_nothing_moves_is_one_error(watching: Signals) -> None:
    still = lying_still(4, 400)
    assert alarms(watching, still) == []
    elsewhere = dataclasses.replace(still, z=world(5, 400).z)
    assert alarms(watching, elsewhere), "the same errors in a robot that moves are a change"


def test_errors_that_come_again_with_the_same_few_states_are_no_more_evidence_each_time(
    watching: Signals,
) -> None:
    """A robot on its back swings its legs: it moves at every decision, through the same twenty states."""
    steps = world(6, 600, pull=1.1)
    again = np.arange(600) % 20
    struggling = dataclasses.replace(steps.at(again), z=steps.z[again] + 1e-3 * steps.z)
    assert len(alarms(watching, steps)) > 10
    assert len(alarms(watching, struggling)) <= 2


def test_remembered_steps_count_so_that_the_known_world_speaks_least_for_a_correction() -> None:
    episodes = dataclasses.replace(home(1_000), remembered=world(3, 1_000))
    thresholds = [
        calibrated(
            signals.KINDS["correction"],
            dataclasses.replace(episodes, remembered_weight=weight),
            StepWeight(episodes.steps.z).of_rows(episodes.steps.z),
            50_000.0 * len(signals.KINDS),
        )
        for weight in WEIGHTS
    ]
    watching = Signals(episodes, 50_000.0)
    assert watching.thresholds["correction"] == min(thresholds)
    assert watching.home.remembered_weight == WEIGHTS[int(np.argmin(thresholds))]


def test_steps_count_the_same_one_by_one_and_together() -> None:
    rng = np.random.default_rng(0)
    z = np.cumsum(rng.normal(size=(700, 3)), 0)
    weight = StepWeight(z)
    together = weight.of_rows(z[100:])
    weight.next(z[:1])
    weight.reset()
    one_by_one = [weight.next(row[None]) for row in z[100:]]
    np.testing.assert_allclose(one_by_one, together, atol=1e-6)
    assert together[0] == 1.0
    assert 0.05 < np.mean(together[1:] == 1.0) < 0.2, "one step in ten is as new as one that counts wholly"


def test_errors_that_follow_from_the_action_are_noticed_though_they_are_no_larger(
    watching: Signals,
) -> None:
    """The size of the errors rises by a fifth; that the action explains them is what tells."""
    found = alarms(watching, world(2, 60, pull=1.1))
    assert found[0][1] == "correction"


def test_falls_and_a_worse_course_are_noticed_each_by_its_signal(watching: Signals) -> None:
    assert {signal for _, signal in alarms(watching, world(3, 300, falls=0.05))} == {"falls"}
    found = alarms(watching, world(4, 60, worse=2.5))
    assert found[0][1] == "shortfall"
    assert found[0][0] < 20


def test_the_same_steps_raise_the_same_alarms_whatever_was_watched_before(watching: Signals) -> None:
    steps = world(2, 60, falls=0.2)
    assert alarms(watching, steps) == alarms(watching, steps) != []


class Fitted:
    """A signal whose number of a step is 1 where it was made of this step, else 0."""

    def __init__(self, home: HomeEpisodes) -> None:
        self.known = set(home.steps.z[:, 0].tolist())

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        return np.array([float(z in self.known) for z in steps.z[:, 0].tolist()])


def test_thresholds_come_from_steps_that_the_signal_does_not_know_and_share_the_false_alarms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[list[float], float]] = []

    def threshold(sums: np.ndarray, decisions_per_alarm: float) -> float:
        given.append((sums.tolist(), decisions_per_alarm))
        return 1.0

    monkeypatch.setattr(StepWeight, "of_rows", lambda self, z: np.ones(len(z)))
    kind = Kind(Fitted, 0.25, 9.0, threshold)
    monkeypatch.setattr(signals, "KINDS", {"one": kind, "other": kind})
    Signals(home(1_000), 100.0)
    assert given == [([-0.25] * 1_000, 200.0)] * 2, "each of two raises half of the false alarms"


def test_a_threshold_is_well_above_the_highest_excursion_unless_that_is_an_outlier() -> None:
    regular = np.array([1.0, -2.0] * 100)
    assert threshold_for(regular, 20.0) == 1.0
    assert tail_threshold(regular, 20.0) == 1.5
    one_accident = np.concatenate(([100.0, -200.0], regular))
    assert tail_threshold(one_accident, 20.0) == 2.0 * threshold_for(one_accident, 20.0) < 20.0


def test_usual_errors_are_taken_out() -> None:
    residuals = HomeResiduals(world(0, 3_000))
    fresh = residuals.standardise(world(5, 3_000))
    assert fresh.mean(0) == pytest.approx(np.zeros(fresh.shape[1]), abs=0.1)
    assert np.quantile(np.abs(fresh), 0.5) == pytest.approx(0.6745, abs=0.1)


def test_usual_errors_are_taken_out_of_states_that_only_training_has_seen() -> None:
    def elsewhere(seed: int, rows: int) -> ObservedSteps:
        steps = world(seed, rows)
        return dataclasses.replace(steps, z=steps.z + 1.0, error=steps.error + 0.3)

    new = elsewhere(2, 1_000)
    unknown = HomeResiduals(world(0, 3_000)).standardise(new)
    known = HomeResiduals(world(0, 3_000), elsewhere(1, 3_000)).standardise(new)
    assert np.abs(unknown.mean(0)).max() > 5.0
    assert np.abs(known.mean(0)).max() < 0.5


def test_noise_speaks_against_a_correction_and_a_bias_for_it() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate((np.ones((300, 1)), rng.normal(size=(300, 3))), 1)
    noise = rng.normal(size=(300, 4))
    still, biased = CorrectionTest(4, 4), CorrectionTest(4, 4)
    assert np.mean([still.update(*pair) for pair in zip(x, noise, strict=True)]) < 0.0
    ratios = [biased.update(*pair) for pair in zip(x, noise + x[:, 1:2], strict=True)]
    assert np.mean(ratios[50:]) > 0.5


def test_an_outlier_is_learned_from_as_if_it_were_no_larger() -> None:
    rng = np.random.default_rng(0)
    x, error, later = rng.normal(size=(2, 4)), rng.normal(size=3), rng.normal(size=3)
    ratios = []
    for size in (1e2, 1e6):
        test = CorrectionTest(4, 3)
        test.update(x[0], size * error)
        ratios.append(test.update(x[1], later))
    assert ratios[0] == pytest.approx(ratios[1])
