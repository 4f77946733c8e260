"""Picture to larger Picture: device, tiles, memory and the data flow; knows no files and no command line."""
