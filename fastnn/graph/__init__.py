"""Layers called on tensors, and the graph of frozen nodes that they become."""
