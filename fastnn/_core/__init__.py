"""The compiled core: kernels, the executor, and the doors to single kernels.

Nothing in here imports anything above it.
"""
