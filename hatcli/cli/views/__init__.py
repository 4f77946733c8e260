"""What people and programs see of long work: bars, lines, tables, JSON."""
