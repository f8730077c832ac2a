"""Tasks: a network, a loss for each example and a metric; networks by name; artificial losses with known minima."""
