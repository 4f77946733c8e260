"""Which checkpoints exist, how they get here and where they stay; knows no pictures and no command line."""
