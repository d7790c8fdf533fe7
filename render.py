"""The command `joule render`, from a checkout: `python render.py --help`."""

from joule.cli.main import run_command
from joule.commands.render import main

if __name__ == "__main__":
    run_command(main)
