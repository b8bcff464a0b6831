"""Training benchmarks: fixed workloads, raced side by side with other implementations.

The parts, in the order in which data flows: `workloads` says what is trained, `rivals` holds one
contender per file, `runner` checks that their losses agree and times them in turns, `machine`
measures what the computer can do at best, `table` turns results into lines. ``fastnn benchmark`` is
`runner.main`. This package must not know plans, kernels or the inside of a model: fastnn itself is
raced through its public interface only.
"""
