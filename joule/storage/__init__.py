"""Run folders: settings, checkpoints, the replay log and the logs of a run, as plain files."""
