"""Only repetitions with other seeds share a label and a task."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import write_evaluations, write_run, write_tree

from agent.configurator.config_json import to_json
from agent.configurator.dotted_names import flatten, replace
from agent.configurator.settings import Config
from joule.baselines import settings
from joule.report import labels, run_notes
from joule.report.evaluations import ResultsError
from joule.report.results import gather, read_run


def test_settings_and_perturbations_are_never_pooled(tmp_path: Path) -> None:
    perturbed: dict[str, object] = {"planner": {"kind": "mppi"}, "perturb": ["gravity=0.5@300"]}
    runs = gather(
        [
            write_run(tmp_path / "a", [1.0]),
            write_run(tmp_path / "b", [2.0], settings={"planner": {"kind": "icem"}}),
            write_run(tmp_path / "c", [3.0], settings=perturbed),
        ]
    )
    assert {(run.label, run.task) for run in runs} == {
        ("joule (planner.kind=mppi)", "Hopper-v5"),
        ("joule (planner.kind=icem)", "Hopper-v5"),
        ("joule (planner.kind=mppi)", "Hopper-v5 (perturb=gravity=0.5@300)"),
    }


def test_an_environment_is_one_with_and_without_its_module(tmp_path: Path) -> None:
    given = ["Arm-v0", "my_pkg:Arm-v0", "my_pkg.arm:Arm-v0", "dmc:walker-walk"]
    runs = gather([write_run(tmp_path / str(k), [float(k)], env=env, seed=k) for k, env in enumerate(given)])
    assert [run.task for run in runs] == ["Arm-v0", "Arm-v0", "Arm-v0", "dmc:walker-walk"]
    others = ["my_pkg:Arm-v0", "your_pkg:Arm-v0"]
    runs = gather([write_run(tmp_path / env, [1.0 + k], env=env) for k, env in enumerate(others)])
    assert [run.task for run in runs] == others


def test_robots_from_model_files_have_the_names_of_the_files(tmp_path: Path) -> None:
    def tasks(*robots: tuple[str, str], **kwargs: object) -> list[str]:
        runs = [
            write_run(
                tmp_path / str(len(list(tmp_path.iterdir()))),
                [float(seed)],
                env="joule/Model-v0",
                seed=seed,
                settings={"env": "joule/Model-v0", "env_kwargs": {"model": file, **kwargs}},
                env_spec={"physics": {"mujoco": "3.9.0", "masses": masses}} if masses else {},
            )
            for seed, (file, masses) in enumerate(robots)
        ]
        assert read_run(runs[0]).env == Path(robots[0][0]).name
        return [run.task for run in gather(runs)]

    assert tasks(("/a/arm.xml", "one"), ("/a/leg.xml", "two")) == ["arm.xml", "leg.xml"]
    assert tasks(("/a/arm.xml", "one"), ("/a/arm.xml", "two"), ("/a/arm.xml", "")) == ["arm.xml"] * 3
    # A file that was moved is the same robot; what is not known to be the same is told apart.
    assert tasks(("/a/arm.xml", "one"), ("/b/arm.xml", "one")) == ["arm.xml"] * 2
    assert tasks(("/a/x/arm.xml", "one"), ("/b/x/arm.xml", "two")) == ["a/x/arm.xml", "b/x/arm.xml"]
    assert tasks(("/a/arm.xml", ""), ("arm.xml", "")) == ["a/arm.xml", "arm.xml"]
    assert tasks(("/a/arm.xml", "one"), frame_skip=2) == ['arm.xml (env_kwargs={"frame_skip": 2})']


def test_baselines_with_other_updates_per_decision_are_told_apart(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / str(utd), [1.0], agent="sac", settings={"learning": {"utd": utd, "rho": utd}})
        for utd in (1.0, 4.0)
    ]
    assert [run.label for run in gather(runs)] == ["sac (learning.utd=1.0)", "sac (learning.utd=4.0)"]


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({"action_repeat": 2}, {"action_repeat": 4}),
        ({"max_episode_frames": 1_000}, {"max_episode_frames": 500}),
        ({"planner.samples": 64}, {"planner.samples": 256}),
        ({"learning.utd": 1}, {"learning.utd": 2}),
        ({"learning.batch_size": 64}, {"learning.batch_size": 32}),
        ({"learning.inverse_weight": 0}, {"learning.inverse_weight": 1}),
        ({"learning.encoder_learning_rate": 3e-4}, {"learning.encoder_learning_rate": 1e-3}),
    ],
)
def test_a_default_that_is_given_makes_no_row_of_its_own(
    tmp_path: Path, given: dict[str, object], other: dict[str, object]
) -> None:
    def run(seed: int, changes: dict[str, object]) -> Path:
        config = replace(Config(env="dmc:walker-walk"), changes)
        repeat = config.action_repeat or 2
        spec: dict[str, object] = {
            "action_repeat": repeat,
            "episode_limit": (config.max_episode_frames or 1_000) // repeat,
        }
        return write_run(
            tmp_path / str(seed), [float(seed)], settings=to_json(config), seed=seed, env=config.env,
            env_spec=spec,
        )  # fmt: skip

    runs = gather([run(1, {}), run(2, given)])
    assert {(run.label, run.task) for run in runs} == {("joule", "dmc:walker-walk")}
    assert len({(run.label, run.task) for run in gather([run(1, {}), run(2, given), run(3, other)])}) == 2


def test_what_an_environment_has_by_default_is_said_by_its_own_runs(tmp_path: Path) -> None:
    spec: dict[str, object] = {"action_repeat": 1, "episode_limit": 1_000}
    runs = [
        write_run(
            tmp_path / str(seed),
            [float(seed)],
            settings={"max_episode_frames": frames, "env_kwargs": kwargs},
            seed=seed,
            env_spec=spec,
        )
        for seed, (frames, kwargs) in enumerate([(None, {}), (1_000, {}), (1_000, {"limit": 500})])
    ]
    limited = 'Hopper-v5 (env_kwargs={"limit": 500}, max_episode_frames=1000)'
    assert [run.task for run in gather(runs)] == ["Hopper-v5", "Hopper-v5", limited]


def test_a_task_is_its_own_row_and_settings_of_the_world_model_do_not_split_a_baseline(
    tmp_path: Path,
) -> None:
    small: dict[str, object] = {"task": "", "learning": {"batch_size": 64}, "cost": {"action": 0.0}}
    large: dict[str, object] = {"task": "", "learning": {"batch_size": 128}, "cost": {"action": 0.1}}
    runs = gather(
        [
            write_run(tmp_path / "a", [1.0], agent="sac", settings=small),
            write_run(tmp_path / "b", [2.0], agent="sac", seed=2, settings=large),
            write_run(tmp_path / "c", [-3.0], agent="sac", settings={"task": "track:velocity=2"}),
        ]
    )
    assert {(run.label, run.task) for run in runs} == {
        ("sac", "Hopper-v5"),
        ("sac", "Hopper-v5 (task=track:velocity=2)"),
    }


def test_equal_settings_and_seeds_are_told_apart_by_folder_or_suite(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1.0])
    with pytest.raises(ResultsError, match="hold the same run"):
        gather([first, write_run(tmp_path / "b", [1.0])])
    # The same settings and seed with other numbers, as before and after a change of the code.
    assert {run.label for run in gather([first, write_run(tmp_path / "after", [2.0])])} == {
        "joule · a",
        "joule · after",
    }
    tree = write_tree(tmp_path / "results")
    write_evaluations(
        tree / "after" / "joule" / "joule" / "Push-v0" / "seed1.csv", [1.0], env="joule/Push-v0"
    )
    ours = {run.label for run in gather([], [tree]) if (run.agent, run.env) == ("joule", "joule/Push-v0")}
    assert ours == {"joule · main", "joule · after"}


def test_seeds_of_several_suites_are_not_one_label(tmp_path: Path) -> None:
    for suite, seed, level in (("default", 1, 5.0), ("default", 2, 6.0), ("short", 3, 1.0)):
        path = tmp_path / suite / "joule" / "Hopper-v5" / f"seed{seed}.csv"
        write_evaluations(path, [level], seed=seed)
    write_evaluations(tmp_path / "default" / "joule" / "Ant-v5" / "seed1.csv", [7.0], env="Ant-v5")
    write_evaluations(tmp_path / "default" / "sac" / "Ant-v5" / "seed1.csv", [8.0], env="Ant-v5", agent="sac")
    found = {(run.label, run.env, run.seed) for run in gather([], [tmp_path])}
    assert found == {
        ("joule · default", "Hopper-v5", 1),
        ("joule · default", "Hopper-v5", 2),
        ("joule · short", "Hopper-v5", 3),
        ("joule · default", "Ant-v5", 1),
        ("sac", "Ant-v5", 1),
    }


def test_every_setting_that_labels_treat_apart_exists() -> None:
    names = list(flatten(Config()))
    assert set(labels.TASK_SETTINGS) | set(labels.NEITHER) <= set(names)
    sections = {name.split(".")[0] + "." for name in names if "." in name}
    assert sections | {"constraint", "perceive"} == set(labels._WORLD_MODEL)
    assert {"constraint", "perceive"} <= set(names)
    assert set(labels._OF_ACTORS) <= set(names)
    assert run_notes.WITH_REPLAY == settings.WITH_REPLAY


def test_what_a_run_began_with_and_what_was_changed_in_it_tell_it_apart(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, [1.0 + seed], seed=seed) for seed, name in enumerate("abcd")]
    (folders[1] / "command.txt").write_text("joule train --init-from 'runs/a b' --steps 100\n")
    (folders[2] / "changes.csv").write_text(
        "frames,setting,before,after\n150,steps,1,2\n150,learning.utd,1,2\n150,video,True,False\n"
    )
    assert [run.label for run in gather(folders)] == [
        "joule",
        "joule (init_from=runs/a b)",
        "joule (changed=learning.utd@150)",
        "joule",
    ]


def test_seeds_that_each_began_with_an_agent_of_the_same_settings_are_one_row(tmp_path: Path) -> None:
    earlier = {"a": {"seed": 1, "video": True}, "b": {"seed": 2}, "c": {"seed": 2, "steps": 9}}
    for name, given in earlier.items():
        write_run(tmp_path / name, [0.0], settings={"video": False, "steps": 3, **given})
    begun = []
    for seed, name in enumerate([*earlier, "a/checkpoints/step-2", "gone"]):
        begun.append(write_run(tmp_path / f"from{seed}", [1.0 + seed], seed=seed))
        (begun[-1] / "command.txt").write_text(f"joule train --init-from {tmp_path / name}\n")
    both = f"joule (init_from={tmp_path / 'a'} {tmp_path / 'b'})"
    others = [f"joule (init_from={tmp_path / name})" for name in ("c", "a/checkpoints/step-2", "gone")]
    assert [run.label for run in gather(begun)] == [both, both, *others]


def test_what_others_wrote_into_a_run_ends_in_no_traceback(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", [1.0])
    (run / "command.txt").write_text("joule train --init-from 'runs/a\n")
    assert [one.label for one in gather([run])] == ["joule"]
    for text in ("frames\n", f"frames,setting,before,after\n1,a,{'b' * 200_000},c\n"):
        (run / "changes.csv").write_text(text)
        with pytest.raises(ResultsError, match=r"changes\.csv that cannot be read: changes\.csv: "):
            read_run(run)


def test_settings_without_an_effect_tell_nothing_apart(tmp_path: Path) -> None:
    settings: list[dict[str, object]] = [
        {"vector_mode": mode, "actors": 0, "actors_lockstep": mode == "async"} for mode in ("sync", "async")
    ]
    folders = [
        write_run(tmp_path / str(seed), [1.0 + seed], seed=seed, settings=one)
        for seed, one in enumerate(settings)
    ]
    assert {run.label for run in gather(folders)} == {"joule"}
