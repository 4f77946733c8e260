"""Training HAT: pictures to patches, a recipe, and the loop; knows nothing of the command line."""
