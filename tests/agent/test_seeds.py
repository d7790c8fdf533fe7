"""Seeds of training episodes."""

from agent.seeds import reset_seed


def test_seeds_of_later_episodes_are_those_of_no_run_and_no_evaluation() -> None:
    assert reset_seed(7, 0) == 7
    assert reset_seed(10_003, 0) >= 2**30
    seeds = {reset_seed(seed, frames) for seed in range(30) for frames in range(1, 30)}
    assert len(seeds) == 30 * 29
    assert min(seeds) >= 2**30
    assert max(seeds) < 2**31
