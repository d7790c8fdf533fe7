"""The command `joule play`, from a checkout: `python play.py --help`."""

import _signal as signal  # the module `signal` takes longer to import than an interrupt takes to come

if __name__ == "__main__":
    # Until Joule's own handlers are there, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from joule.cli.main import run_process
    from joule.commands.play import main

    run_process(main)
