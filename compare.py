"""The command `joule compare`, from a checkout: `python compare.py --help`."""

from joule.cli.main import run_command
from joule.commands.compare import main

if __name__ == "__main__":
    run_command(main)
