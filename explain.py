"""The command `joule explain`, from a checkout: `python explain.py --help`."""

from joule.cli.main import run_command
from joule.commands.explain import main

if __name__ == "__main__":
    run_command(main)
