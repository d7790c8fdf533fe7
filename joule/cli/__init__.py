"""The command line: the parser, the options made from the settings, and how a command ends."""
