"""Bytes to Picture and back: everything that is not RGB in 0..1 lives and dies in this room."""
