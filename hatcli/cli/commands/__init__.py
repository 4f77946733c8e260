"""The commands, one a file: options to settings, settings to the rooms below, outcomes to a view and an exit code."""
