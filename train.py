"""The command `joule train`, from a checkout: `python train.py --help`."""

from joule.cli.main import run_command
from joule.commands.train import main

if __name__ == "__main__":
    run_command(main)
