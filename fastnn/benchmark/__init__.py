"""Benchmarks: fixed workloads, raced side by side with other implementations.

In the order in which data flow: `workloads` says what is trained, `rivals` holds the contenders, one
file for each library, `race` times entrants in turns, `runner` checks that losses agree and races
training, `machine` measures what the computer can do at best, `table` turns results into lines.
``fastnn benchmark`` is `runner.main`.

On top of that the suite, ``fastnn benchmark --all``: `parts` says what a part is; `training`,
`inference`, `kernels`, `busy`, `processes` (memory and startup, measured by `child` in fresh processes)
and `grid` (the map) are the parts; `suite` runs them and keeps what comes out; `report` and `plots` are
functions of that. This package must not know plans, kernels or the inside of a model: fastnn itself is
raced through its public interface only.
"""
