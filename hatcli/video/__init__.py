"""Films: frames in, enlarged frames out; sound, subtitles, chapters and times stay as they are."""
