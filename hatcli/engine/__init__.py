"""Networks run without gradients, fast and in bounded memory; knows no files, no tiles and no pictures."""

from hatcli.engine.opening import Network, opened

__all__ = ["Network", "opened"]
