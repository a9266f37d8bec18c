"""Very many calls against a server that fails in every way, with every outcome accounted for."""
