"""The command `joule evaluate`, from a checkout: `python evaluate.py --help`."""

from joule.cli.main import run_command
from joule.commands.evaluate import main

if __name__ == "__main__":
    run_command(main)
