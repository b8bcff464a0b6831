"""Tests of the benchmark's referee and its table, with contenders and a clock that are made up.

Time only passes when a contender trains, so every number in a result can be worked out beforehand.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from fastnn.benchmark import machine, race, rivals, runner, table
from fastnn.benchmark.race import Effort
from fastnn.benchmark.rivals.numpy_ import NumpyRival
from fastnn.benchmark.runner import Result, Timing, main, measure
from fastnn.benchmark.workloads import WORKLOADS, Workload

XNOR = WORKLOADS[0]
EFFORT = Effort(rounds=4, seconds=0.02, peak_sizes=(16,))


class Clock:
    """A clock that stands still unless it is moved, and a diary of who moved it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.diary: list[tuple[str, int, int]] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class FakeRival:
    """A contender that takes a given time per step and reports a given loss."""

    name: ClassVar[str] = "fake"
    module: ClassVar[str] = "fake"
    requires: ClassVar[str] = "imagination"
    slow_start: ClassVar[bool] = False
    clock: Clock
    loss: Callable[[Workload], float]
    seconds: Callable[[int], float]
    n_threads = 0  # outside every context

    def __init__(self, workload: Workload, weights: Sequence[Any], x: Any, y: Any) -> None:
        self._workload = workload
        self._n_steps = workload.steps_per_epoch(len(x))
        self._weights = list(weights)
        assert not x.flags.writeable
        assert not y.flags.writeable

    @classmethod
    def available(cls) -> bool:
        """Say yes."""
        return True

    @classmethod
    def version(cls) -> str:
        """Return any version."""
        return "7.8"

    @classmethod
    def refuses(cls, workload: Workload) -> str | None:
        """Take everything on."""
        return None

    @classmethod
    def thread_counts(cls, n_cores: int) -> tuple[int, ...]:
        """Return one and all."""
        return tuple(sorted({1, n_cores}))

    @classmethod
    @contextlib.contextmanager
    def threads(cls, n_threads: int) -> Iterator[None]:
        """Remember the number of threads while the context lasts."""
        cls.n_threads = n_threads
        yield
        cls.n_threads = 0

    def run_epochs(self, n_epochs: int) -> float:
        """Let time pass."""
        clock = type(self).clock
        clock.diary.append((self.name, self.n_threads, n_epochs))
        clock.now += type(self).seconds(self.n_threads) * n_epochs * self._n_steps
        return type(self).loss(self._workload)

    def get_weights(self) -> list[Any]:
        """Return what was given."""
        return self._weights


class FakeProduct:
    """A yardstick of 100 GFLOP/s a thread."""

    clock: ClassVar[Clock]
    flops = 10**9

    def __init__(self, size: int) -> None:
        self._n_threads = 0

    def thread_counts(self, n_cores: int) -> tuple[int, ...]:
        """Return all."""
        return (n_cores,)

    @contextlib.contextmanager
    def threads(self, n_threads: int) -> Iterator[None]:
        """Remember the number of threads."""
        self._n_threads = n_threads
        yield

    def run(self, n_repeats: int) -> None:
        """Let time pass."""
        self.clock.diary.append(("product", self._n_threads, n_repeats))
        self.clock.now += n_repeats * self.flops / (1e11 * self._n_threads)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put the made-up clock into the referee's hand."""
    clock = Clock()
    monkeypatch.setattr(race, "perf_counter", clock)
    monkeypatch.setattr(runner, "SquareProduct", FakeProduct)
    monkeypatch.setattr(FakeProduct, "clock", clock, raising=False)
    monkeypatch.setattr(race, "settle", lambda: clock.diary.append(("rest", 0, 0)))
    return clock


def fake(
    clock: Clock,
    name: str,
    seconds: float | Callable[[int], float],
    loss: float | Callable[[Workload], float] = 0.25,
) -> type[FakeRival]:
    """Make a contender of a given time per step (a function of its threads) and loss (of its workload)."""
    functions = {
        "seconds": staticmethod(seconds if callable(seconds) else lambda n_threads: seconds),
        "loss": staticmethod(loss if callable(loss) else lambda workload: loss),
    }
    return type(name, (FakeRival,), {"name": name, "clock": clock, **functions})


def result_of(*timings: Timing) -> Result:
    """Return a result on the first workload."""
    return Result(XNOR, timings)


class TestMeasure:
    """The order of events and the arithmetic of `measure`."""

    def test_times_and_ratio(self, clock: Clock) -> None:
        """Medians, minima and the ratio are those that the clock made."""
        result = measure(XNOR, [fake(clock, "A", 12e-6), fake(clock, "B", 4e-6)], EFFORT, n_cores=2)
        assert result.losses_agree
        assert [timing.name for timing in result.timings] == ["A", "B"]
        assert result.timings[0].seconds_per_step == pytest.approx([12e-6] * 4)
        assert result.ours.median == pytest.approx(4e-6)
        assert result.ratio == pytest.approx(3.0)

    def test_each_takes_its_best_thread_count(self, clock: Clock) -> None:
        """One contender is faster with all cores, the other with one thread."""
        parallel = fake(clock, "parallel", lambda n_threads: {0: 1.0, 1: 9e-6, 4: 3e-6}[n_threads])
        serial = fake(clock, "serial", lambda n_threads: {0: 1.0, 1: 3e-6, 4: 9e-6}[n_threads])
        result = measure(XNOR, [parallel, serial], EFFORT, n_cores=4)
        assert [timing.n_threads for timing in result.timings] == [4, 1]
        assert [timing.median for timing in result.timings] == pytest.approx([3e-6, 3e-6])

    def test_a_hiccup_does_not_decide_about_threads(self, clock: Clock) -> None:
        """One slow trial of three with all cores is forgiven."""
        trials = {1: iter([9e-6] * 99), 4: iter([3e-6] * 6 + [1e-3] + [3e-6] * 99)}
        calm = fake(clock, "calm", 1e-6)
        shaken = fake(clock, "shaken", lambda n_threads: next(trials[n_threads]) if n_threads else 1e-6)
        result = measure(XNOR, [shaken, calm], EFFORT, n_cores=4)
        assert result.timings[0].n_threads == 4
        assert [n for name, n, _ in clock.diary if name == "shaken"].count(4) > 6

    def test_rounds_take_turns_and_are_long_enough(self, clock: Clock) -> None:
        """Rest, lead-in and measurement of A, then of B, and again; measurements as long as asked for."""
        measure(XNOR, [fake(clock, "A", 12e-6), fake(clock, "B", 4e-7)], EFFORT, n_cores=1)
        last = clock.diary[-6 * EFFORT.rounds :]
        assert [name for name, _, _ in last] == ["rest", "A", "A", "rest", "B", "B"] * EFFORT.rounds
        for (_, _, n_epochs), seconds_per_step in zip(last[2::3], [12e-6, 4e-7] * EFFORT.rounds, strict=True):
            assert 1 <= n_epochs * 256 * seconds_per_step / EFFORT.seconds < 1.5

    def test_the_yardstick_takes_its_turn_in_every_round(self, clock: Clock) -> None:
        """A large product on all cores runs after the contenders, and the share is of what it gave."""
        seconds = XNOR.flops_per_step / 5e10
        result = measure(XNOR, [fake(clock, "A", seconds)], EFFORT, n_cores=4, yardstick=True)
        last = clock.diary[-6 * EFFORT.rounds :]
        order = ["rest", "A", "A", "rest", "product", "product"]
        assert [name for name, _, _ in last] == order * EFFORT.rounds
        assert {n_threads for name, n_threads, _ in last if name == "product"} == {4}
        assert result.product_speeds == pytest.approx([4e11] * EFFORT.rounds)
        assert result.share == pytest.approx(0.125)
        assert len(result.timings) == 1
        assert measure(XNOR, [fake(clock, "A", seconds)], EFFORT, n_cores=4).share is None

    def test_share_is_the_median_of_paired_rounds(self) -> None:
        """A slow spell that meets both does not move it."""
        times, speeds = (1.0, 5.0, 1.0), (4.0, 0.8, 3.0)
        speeds = tuple(XNOR.flops_per_step * speed for speed in speeds)
        assert Result(XNOR, (Timing("A", 0.1, 1, times),), (), speeds).share == 0.25

    def test_ratio_is_the_median_of_paired_rounds(self) -> None:
        """A disturbance that meets both in one round does not move the ratio."""
        ours, theirs = (1.0, 5.0, 1.0), (2.0, 10.0, 3.0)
        assert result_of(Timing("A", 0.1, 1, theirs), Timing("B", 0.1, 1, ours)).ratio == 2.0

    def test_ratio_is_against_the_fastest_other(self) -> None:
        """Of several others, the one with the smallest median counts."""
        times = {"slow": 9.0, "fast": 3.0, "ours": 2.0}
        assert result_of(*(Timing(name, 0.1, 1, (time,)) for name, time in times.items())).ratio == 1.5

    def test_ratio_needs_two(self) -> None:
        """Alone, or untimed, there is no ratio."""
        assert result_of(Timing("B", 0.1, 1, (1.0,))).ratio is None
        assert result_of(Timing("A", 0.1), Timing("B", 0.2)).ratio is None

    @pytest.mark.parametrize("loss", [0.25 * (1 + 3e-4), math.nan, math.inf])
    def test_nothing_is_timed_when_losses_differ(self, clock: Clock, loss: float) -> None:
        """One training each, then the end."""
        result = measure(XNOR, [fake(clock, "A", 1e-6, loss), fake(clock, "B", 1e-6)], EFFORT, n_cores=2)
        assert not result.losses_agree
        assert [timing.seconds_per_step for timing in result.timings] == [(), ()]
        assert [name for name, _, _ in clock.diary] == ["A", "B"]  # no rest either

    @pytest.mark.parametrize("loss", [math.nan, math.inf])
    def test_losses_that_are_not_finite_never_agree(self, loss: float) -> None:
        """Two infinities are no agreement."""
        assert not result_of(Timing("A", loss), Timing("B", loss)).losses_agree

    def test_close_losses_agree(self) -> None:
        """The tolerance is relative."""
        assert result_of(Timing("A", 100.005), Timing("B", 100.0)).losses_agree
        assert not result_of(Timing("A", 1.02e-6), Timing("B", 1e-6)).losses_agree

    def test_who_refuses_stays_out_with_the_reason(self, clock: Clock) -> None:
        """The others race; the row has dashes in the place of who does not."""
        shy = fake(clock, "shy", 1e-6)
        shy.refuses = classmethod(lambda cls, workload: f"no {workload.name}")  # type: ignore[assignment]
        result = measure(XNOR, [fake(clock, "A", 3e-6), shy, fake(clock, "B", 1e-6)], EFFORT, n_cores=1)
        assert [timing.name for timing in result.timings] == ["A", "B"]
        assert result.refusals == (("shy", "no xnor"),)
        assert result.ratio == pytest.approx(3.0)
        words = table.format_row(result, 1e9, ["A", "shy", "B"]).split()
        assert words[3:12] == ["3.000", "3.000", "1", "-", "-", "-", "1.000", "1.000", "1"]

    def test_a_race_over_its_limit_ends_after_three_rounds(self, clock: Clock) -> None:
        """A round is never cut, and three there are always."""
        slow = dataclasses.replace(EFFORT, rounds=9, limit=1e-9)
        result = measure(XNOR, [fake(clock, "A", 3e-6), fake(clock, "B", 1e-6)], slow, n_cores=1)
        assert [len(timing.seconds_per_step) for timing in result.timings] == [3, 3]

    def test_needs_a_contender(self) -> None:
        """Nobody cannot race."""
        with pytest.raises(ValueError, match="at least one contender"):
            measure(XNOR, [])

    def test_real_contender(self) -> None:
        """NumPy races itself on a real clock."""
        twin = type("Twin", (NumpyRival,), {"name": "twin"})
        result = measure(XNOR, [NumpyRival, twin], Effort(rounds=2, seconds=0.001))
        assert result.losses_agree
        assert result.timings[0].loss == result.ours.loss
        assert result.ratio is not None
        assert result.ours.minimum > 1e-7

    @pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
    def test_epochs_are_short_and_data_small(self, workload: Workload) -> None:
        """Data stay under 32 MB, an epoch under 25 GFLOP and 256 steps."""
        n_batches = runner.batch_count(workload)
        assert 2 <= n_batches <= 256
        assert n_batches * workload.batch * workload.widths[0] * 4 < 32e6
        assert n_batches * workload.flops_per_step < 25e9


class TestTable:
    """The lines that a reader sees."""

    AGREED = result_of(
        Timing("NumPy", 0.1, 1, (12e-6, 11e-6, 13e-6)),
        Timing("fastnn", 0.1, 2, (2e-7, 2.2e-7, 2e-7)),
    )

    def test_columns_are_aligned(self) -> None:
        """All lines are equally long, and every time ends where its heading ends."""
        wide = Result(
            WORKLOADS[-1],
            (Timing("NumPy", 7.0, 2, (0.118,) * 3), Timing("fastnn", 7.0, 2, (0.0712,) * 3)),
        )
        head = table.format_head(["NumPy", "fastnn"])
        rows = [table.format_row(result, peak=200e9) for result in (self.AGREED, wide)]
        assert len({len(line) for line in (head[1], *rows)}) == 1
        ends = [place + len("median") for place in range(len(head[1])) if head[1].startswith("median", place)]
        assert [rows[0][:end].split()[-1] for end in ends] == ["12.00", "0.200"]
        assert [rows[1][:end].split()[-1] for end in ends] == ["118000", "71200"]
        assert head[0].split() == ["NumPy", "us/step", "fastnn", "us/step"]

    def test_row(self) -> None:
        """A row holds workload, net, batch, times, threads, ratio, speed and share."""
        peak = 10 * XNOR.flops_per_step / 2e-7
        words = table.format_row(self.AGREED, peak).split()
        assert words[:3] == ["xnor", "2-2-1", "4"]
        assert words[3:9] == ["12.00", "11.00", "1", "0.200", "0.200", "2"]
        assert words[9:] == ["60.00", f"{XNOR.flops_per_step / 2e-7 / 1e9:.2f}", "10.0%", "-"]
        result = dataclasses.replace(self.AGREED, product_speeds=(peak / 2,) * 3)
        assert table.format_row(result, peak).split()[-2:] == ["10.0%", "20.0%"]

    def test_row_of_one_contender(self) -> None:
        """Without another there is no ratio, and no error."""
        words = table.format_row(result_of(self.AGREED.ours), 1e9).split()
        assert words[3:] == ["0.200", "0.200", "2", "0.56", "56.0%", "-"]

    def test_row_of_different_losses(self) -> None:
        """Both losses stand in the row, and no time."""
        row = table.format_row(result_of(Timing("NumPy", 0.125), Timing("fastnn", 0.25)), 1e9)
        assert row.endswith("losses differ: NumPy 0.125, fastnn 0.25")
        assert row.startswith("xnor ")

    @pytest.mark.parametrize(
        ("seconds", "text"), [(1.234e-7, "0.123"), (9.8765e-6, "9.877"), (1.5e-4, "150.0"), (2.5, "2500000")]
    )
    def test_microseconds(self, seconds: float, text: str) -> None:
        """Small times keep three decimals, large ones none."""
        assert table.format_microseconds(seconds) == text


class TestMain:
    """The command, from names to exit code."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runner, "sgemm_peak", lambda n_threads, sizes: 1e11 * n_threads)
        monkeypatch.setattr(runner, "available_cpus", lambda: 2)

    def test_table_on_the_stream(self, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
        """Header, head and the rows asked for go to the stream, nothing to standard output or error."""
        stream = io.StringIO()
        contenders = [fake(clock, "A", 12e-6), fake(clock, "B", 4e-6)]
        assert main(["bike", "xnor"], quick=True, stream=stream, rivals=contenders) == 0
        lines = stream.getvalue().splitlines()
        assert [line.split()[0] for line in lines[-3:]] == ["workload", "bike", "xnor"]
        for part in ("A 7.8, B 7.8", "100 GFLOP/s on 1 thread, 200 GFLOP/s on 2 threads", "2 cores"):
            assert part in stream.getvalue()
        assert lines[-1].split()[9] == "3.00"
        assert capsys.readouterr() == ("", "")

    def test_standard_output_is_the_default(self, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a stream, the table is printed."""
        assert main(["xnor"], quick=True, rivals=[fake(clock, "A", 1e-6)]) == 0
        assert "2-2-1" in capsys.readouterr().out

    def test_ceiling_that_rises(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """Shares are of the best product so far, and the reader is told."""
        peaks = iter([1e11, 5e10, 4e10, 4e11])
        monkeypatch.setattr(runner, "sgemm_peak", lambda n_threads, sizes: next(peaks))
        stream, seconds = io.StringIO(), XNOR.flops_per_step / 1e10
        assert main(["xnor", "xnor"], quick=True, stream=stream, rivals=[fake(clock, "A", seconds)]) == 0
        *_, first, second, note = stream.getvalue().splitlines()
        assert (first.split()[-2:], second.split()[-2:]) == (["10.0%", "5.0%"], ["2.5%", "5.0%"])
        assert note == "The ceiling rose to 400 GFLOP/s during the run."

    def test_unknown_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An unknown workload is answered on standard error before anything is measured."""
        assert main(["xnor", "polcy1"], rivals=[]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "unknown workload 'polcy1'; did you mean 'policy1'?" in captured.err
        assert captured.err.count("\n") == 1

    def test_different_losses(self, clock: Clock) -> None:
        """The row says so, the other rows are measured, and the exit code is not 0."""
        stream = io.StringIO()
        cheat = fake(clock, "A", 1e-6, lambda workload: 0.5 if workload.name == "xnor" else 0.25)
        assert main(["xnor", "bike"], True, stream, [cheat, fake(clock, "B", 1e-6)]) == 1
        xnor, bike = stream.getvalue().splitlines()[-2:]
        assert xnor.endswith("losses differ: A 0.5, B 0.25")
        assert bike.split()[9] == "1.00"

    def test_default_rivals_end_with_fastnn(self) -> None:
        """The contender that the others are compared with is fastnn."""
        names = [rival.name for rival in rivals.load_rivals()]
        assert names == ["NumPy", "fastnn"]


class TestMachine:
    """What is said about the machine."""

    def test_peak_is_a_speed(self) -> None:
        """A small product runs at a speed between 10 MFLOP/s and 100 TFLOP/s."""
        assert 1e7 < machine.sgemm_peak(1, sizes=(256,), repeats=2) < 1e14

    @pytest.mark.parametrize(("busy_looks", "naps"), [(0, 1), (3, 4), (1000, 50)])
    def test_settle_waits_for_busy_threads(
        self, monkeypatch: pytest.MonkeyPatch, busy_looks: int, naps: int
    ) -> None:
        """It sleeps while CPU time passes, once more, and never longer than the limit."""
        clock, slept = Clock(), []

        def nap(seconds: float) -> None:
            slept.append(seconds)
            clock.now += seconds

        monkeypatch.setattr(machine, "perf_counter", clock)
        monkeypatch.setattr(machine, "sleep", nap)
        monkeypatch.setattr(machine, "process_time", lambda: min(clock.now, 0.01 * busy_looks))
        machine.settle(limit=0.495)
        assert len(slept) == naps

    def test_facts(self) -> None:
        """The processor has a name, and BLAS libraries are named without a path."""
        assert machine.processor_name().strip()
        assert not any("/" in line for line in machine.blas_libraries())


def test_results_are_values() -> None:
    """Results can be turned into dictionaries for reports."""
    report = dataclasses.asdict(TestTable.AGREED)
    assert report["workload"]["name"] == "xnor"
    assert report["timings"][1]["seconds_per_step"] == (2e-7, 2.2e-7, 2e-7)
