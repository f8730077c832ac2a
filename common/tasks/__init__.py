"""Tasks: a network, a per-example loss and a metric; networks by name; artificial losses with known minima."""
