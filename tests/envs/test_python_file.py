"""A Python file in place of an environment's id is answered with how its environments are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs import EnvError
from envs.registry import checked_id

ARM = "class Base(gymnasium.Env[int, int]): pass\nclass Arm(Base): pass\n"
REGISTERED = "gymnasium.register('Arm-v0', 'a:A')\nregister(entry_point='a:A', id='Leg-v1')\n"


@pytest.mark.parametrize(
    ("text", "env", "words"),
    [
        (ARM + REGISTERED, "./own.py", "./own.py: is a file; write own:Arm-v0 or own:Leg-v1"),
        (REGISTERED * 2, "own.py", "own.py: is a file; write own:Arm-v0 or own:Leg-v1"),
        (REGISTERED, "sub/own.py", "write own:Arm-v0 or own:Leg-v1, and run the command in sub"),
        (REGISTERED, "package/own.py", "write package.own:Arm-v0 or package.own:Leg-v1"),
        ("".join(f"register('A{k}-v0')\n" for k in range(5)), "own.py", "own:A2-v0 or one of 2 others"),
        (
            ARM,
            "own.py",
            'own.py: registers no id; add to it gymnasium.register(id="Arm-v0", entry_point="own:Arm", '
            "max_episode_steps=...), and write own:Arm-v0",
        ),
        ("ARM = 'Arm-v0'\nregister(ARM)\n", "own.py", "own.py: is a file; write own:Arm-v0"),
        (REGISTERED, "package/__init__.py", "write package:Arm-v0 or package:Leg-v1"),
        (
            ARM + "for k in range(2): register(f'A{k}-v0')\natexit.register('hello world')\n",
            "own.py",
            "own.py: is a file; write own:NAME-v0, where",
        ),
        ("class Many(VectorEnv): pass\n", "own.py", "own.py: is a file; write own:NAME-v0, where"),
        ("raise SystemExit('executed')", "own.py", "write own:NAME-v0, where NAME-v0 is what it registers"),
        ("no Python (", "own.py", "write own:NAME-v0, where NAME-v0 is what it registers"),
        (REGISTERED, "own-arm.py", "no module can have this name"),
        (REGISTERED, "./own.py:Mine-v0", "./own.py:Mine-v0: write own:Mine-v0, without .py"),
        (REGISTERED, "other.py", "other.py: there is no such file; write module:NAME-v0"),
    ],
)
def test_a_file_is_answered_with_the_ids_that_it_registers(
    text: str, env: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("own.py", "own-arm.py", "sub/own.py", "package/own.py", "package/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvError) as refusal:
        checked_id(env)
    assert words in str(refusal.value)
    assert "in package" not in str(refusal.value), "a package is found from here"
