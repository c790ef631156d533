"""stylegan2 doctor: what it finds, and that it notices results that differ."""

import math
import re

import pytest
import torch
from click.testing import CliRunner

from facekit.compute import build
from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.ops import doctor, native

COMPILED = {
    "upfirdn2d": ["upfirdn2d"],
    "bias_act": ["bias_act", "bias_act_first"],
    "modulated_conv2d": ["modulate", "modulate_adjoint", "winograd", "winograd_kernels"],
}
OPERATORS = list(COMPILED)


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs the command with an environment, on small images."""
    monkeypatch.setattr(doctor, "SHAPE", (2, 16, 32, 32))
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "MATRIX", 64)
    monkeypatch.delenv(build.SWITCH_VARIABLE, raising=False)
    threads = torch.get_num_threads()

    def invoke(*words, environment=None):
        for name, value in (environment or {}).items():
            monkeypatch.setenv(name, value)
        build.recipe.cache_clear()
        return CliRunner().invoke(cli.main, ["doctor", "--device", "cpu", "--threads", "1", *words])

    yield invoke
    torch.set_num_threads(threads)
    build.recipe.cache_clear()


def rows(output, *begin):
    """Return the cells of the rows that begin with some."""
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines()]
    return [cells for cells in table if cells[: len(begin)] == list(begin)]


def test_both_ways_are_timed_and_agree(run, compiled):
    result = run()
    assert result.exit_code == 0, result.output
    assert rows(result.stdout, "cpu", "built", str(compiled.parent))
    assert rows(result.stdout, "PyTorch") == [["PyTorch", torch.__version__]]
    assert rows(result.stdout, "threads")[0][1].startswith("1 of ")
    for operator in OPERATORS:
        ((_, _, way, forward, derivatives, gain, difference),) = rows(
            result.stdout, "cpu", operator
        )
        assert set(COMPILED[operator]) <= set(re.findall(r"\w+", way))
        assert way.startswith("compiled (") and float(difference) < doctor.LIMIT
        times = [float(x) for x in f"{forward} / {derivatives}".split(" / ")]
        assert len(times) == 4 and min(times) > 0
        assert float(gain) == pytest.approx(times[2] / times[3], abs=0.06)


def test_a_compiler_that_fails_is_no_error(run, compiler):
    environment = compiler("echo 'cpu.cpp:1:1: fatal error: no such header' >&2; exit 1")
    for num_calls, words in ((1, []), (1, []), (2, ["--rebuild"])):
        result = run("--no-times", *words, environment=environment)
        assert result.exit_code == 0, result.output
        ((_, _, why),) = rows(result.stdout, "cpu", "failed")
        assert "fatal error: no such header" in why and str(compiler.folder) in why
        assert compiler.calls() == num_calls
    for operator in OPERATORS:
        assert rows(result.stdout, "cpu", operator) == [["cpu", operator, "composed", *"----"]]
    assert rows(result.stdout, "C++ compiler") == [
        ["C++ compiler", f"{environment['CXX']}: c++ (GCC) 12.2.0"]
    ]


def test_without_a_compiler_nothing_can_be_tried(run, compiler, tmp_path):
    nothing = str(tmp_path / "nothing")
    result = run("--no-times", environment={**compiler("exit 0"), "CXX": nothing})
    assert result.exit_code == 0, result.output
    ((_, _, why),) = rows(result.stdout, "cpu", "cannot be tried")
    assert f"there is no C++ compiler ({nothing})" in why
    assert rows(result.stdout, "C++ compiler") == [["C++ compiler", f"none ({nothing})"]]


def test_composed_operators_that_were_asked_for_are_timed_alone(run, compiler):
    result = run(environment={**compiler("exit 1"), build.SWITCH_VARIABLE: "composed"})
    assert result.exit_code == 0, result.output
    assert rows(result.stdout, "cpu", "not wanted", "EVENFACE_OPERATORS=composed")
    assert compiler.calls() == 0
    for operator in OPERATORS:
        ((_, _, way, forward, _, gain, _),) = rows(result.stdout, "cpu", operator)
        assert way == "composed" and float(forward) > 0 and gain == "-"


@pytest.mark.parametrize("wrong", [1.001, math.nan])
def test_results_that_differ_are_an_error(run, compiled, monkeypatch, wrong):
    right = doctor.upsample2d
    monkeypatch.setattr(
        doctor, "upsample2d", lambda x, f: right(x, f) * (wrong if native.is_used(x) else 1)
    )
    result = run("--no-times")
    assert result.exit_code == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: compiled operators compute something else: upfirdn2d on cpu")
    assert "bias_act" not in error and "EVENFACE_OPERATORS=composed" in error
    assert rows(result.stdout, "cpu", "bias_act")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DataError, match="no CUDA device"):
        doctor.devices("cuda")


def test_derivatives_are_those_of_the_squares():
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    dy = torch.tensor([3.0, 0.5], dtype=torch.float64, requires_grad=True)
    y, dx, ddx, ddy = doctor.Case(lambda x: x**3, [x], dy).derivatives()
    x, dy = x.detach(), dy.detach()
    assert torch.allclose(y, x**3) and torch.allclose(dx, 3 * x**2 * dy)
    assert torch.allclose(ddx, 18 * x**3 * dy**2)  # of sum((3 x^2 dy)^2) / 2
    assert torch.allclose(ddy, 9 * x**4 * dy)


def test_the_largest_difference_counts_wherever_it_is():
    ones = torch.ones(3)
    assert doctor.difference([ones, 4 * ones], [ones, 4 * ones]) == 0
    off = torch.tensor([4.0, 4.0, 5.0])
    for order in (slice(None), slice(None, None, -1)):
        assert doctor.difference([ones, off][order], [ones, 4 * ones][order]) == 0.25
        nan = [math.nan * ones, off][order]
        assert not doctor.difference(nan, [ones, 4 * ones][order]) <= doctor.LIMIT
