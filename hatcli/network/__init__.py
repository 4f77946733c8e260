"""HAT itself; knows nothing of files to upscale, tiles, devices to choose, or the command line."""
