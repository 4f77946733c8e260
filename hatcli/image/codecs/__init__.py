"""Picture formats, one file each: what is particular to their bytes."""
