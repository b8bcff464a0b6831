"""The sub-commands of ``fastnn``, a file a family, as click runs them.

``program.program`` is the whole command; `cli.py` runs it, and gives the process its exit code.  A
sub-command turns words into calls of the public interface, and results into lines, and imports what it needs
only when it runs, so that ``fastnn --help`` is quick.
"""
# It must not know plans, kernels or the inside of a model.
