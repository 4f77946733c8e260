"""Many pictures: which ones, where to, one after the other; a bad one never stops the rest."""
