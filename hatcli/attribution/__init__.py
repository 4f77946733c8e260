"""Seeing what a network does: attribution maps, feature maps, pages to compare results; knows no command line."""
