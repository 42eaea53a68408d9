"""Tests of the plugin; those that need a GPU skip without one."""

import sys

import pytest

import pytest_oomscope
from pytest_oomscope import judge, parse_size, size

MIB = 1 << 20
needs_gpu = pytest.mark.skipif(bool(pytest_oomscope.why_not()), reason="needs PyTorch and a GPU")
needs_judge = pytest.mark.skipif(judge() is None, reason="needs the `oomscope` command")

TRAINING = """
    import pytest, torch

    kept = []

    def train(steps, keep=lambda step: False, optimizers=1):
        kept.clear()
        weight = torch.zeros(256, 1024, device="cuda", requires_grad=True)
        all = [torch.optim.Adam([weight]) for _ in range(optimizers)]
        for step in range(steps):
            if keep(step):
                kept.append(torch.zeros(256, 1024, device="cuda"))
            weight.sum().backward()
            for optimizer in all:
                optimizer.step()
                optimizer.zero_grad()
"""


@pytest.fixture
def run(pytester):
    """Runs a test file made of the training function and `body`."""

    def run(body, *arguments):
        pytester.makepyfile(test_it="\n".join([TRAINING, body]))
        return pytester.runpytest("-p", "pytest_oomscope", "-rs", *arguments)

    return run


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("2GiB", 2 << 30), ("2 GB", 2 << 30), ("1.5g", 3 << 29), ("512kib", 512 << 10), ("0B", 0), ("7", 7), (7, 7)],
)
def test_sizes_are_powers_of_1024_however_spelt(text, bytes):
    assert parse_size(text) == bytes


@pytest.mark.parametrize("text", ["", "two", "-1", -1, None, 2.5, "2GiB/step", True])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_sizes_are_printed_as_pytorch_does():
    assert [size(n) for n in (0, 512, 1536, 3 << 29, -MIB)] == [
        "0 bytes", "512 bytes", "1.50 KiB", "1.50 GiB", "-1.00 MiB",
    ]


@needs_judge
@pytest.mark.parametrize(
    ("floors", "bytes"),
    [
        ([5 * MIB] * 20, None),
        ([n * MIB for n in range(20)], MIB),
        ([0] * 14 + [MIB * n for n in range(1, 13)], MIB),  # begins late
        ([0] * 10 + [9 * MIB] * 20, None),  # one jump
        ([0, 0, 0, 0, 5 * MIB] * 6, None),  # an evaluation now and then
        ([3 * MIB * (step // 3) for step in range(30)], MIB),  # every third step
        ([n * MIB for n in range(20, 0, -1)], None),
    ],
)
def test_growth_is_told_from_jumps_and_peaks(floors, bytes):
    (device,) = pytest_oomscope.judged("optimizer", [{0: floor} for floor in floors])
    assert (device["verdict"], device["steps"]) == ("growing" if bytes else "stable", len(floors))
    if bytes:
        assert device["slope"]["bytes_per_step"] == pytest.approx(bytes, rel=0.15)


@needs_judge
def test_a_command_that_is_not_ours_is_told(monkeypatch):
    monkeypatch.setenv("OOMSCOPE", sys.executable)
    with pytest.raises(pytest.fail.Exception, match="verify --recorded"):
        pytest_oomscope.judged("marker", [{0: 1}])


@needs_gpu
@needs_judge
def test_flat_training_within_the_limit_passes(run):
    result = run("""
    @pytest.mark.gpu_memory(max="8MiB", growth="0B/step")
    def test_flat():
        train(12)
    """)
    result.assert_outcomes(passed=1)


@needs_gpu
def test_a_peak_above_the_limit_fails_and_says_what_to_do(run):
    result = run("""
    @pytest.mark.gpu_memory(max="1MiB")
    def test_peak():
        torch.zeros(2 * 2**20, dtype=torch.uint8, device="cuda")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "GPU 0: the peak of 2.00 MiB exceeds max=1.00 MiB by 1.00 MiB",
        "  GPU 0: peak 2.00 MiB",
        "hint: `oomscope run -- pytest test_it.py::test_peak` *",
    ])


@needs_gpu
@needs_judge
def test_growth_is_exact_and_fails(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="0B/step")
    def test_leak():
        train(10, keep=lambda step: True)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "GPU 0: memory grows by 1.00 MiB per step, growth=0 bytes/step is allowed",
        "  GPU 0: peak *; * after step 10",
        "  because *",
    ])


@needs_gpu
@needs_judge
def test_growth_up_to_what_is_allowed_passes(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="1MiB/step")
    def test_allowed():
        train(10, keep=lambda step: True)
    """)
    result.assert_outcomes(passed=1)


@needs_gpu
@needs_judge
def test_too_few_steps_fail(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="0B/step")
    def test_short():
        train(2)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["GPU 0: growth cannot be judged: 2 steps, *"])


@needs_gpu
@needs_judge
def test_a_test_without_steps_cannot_be_judged_for_growth(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="0B/step")
    def test_none():
        torch.zeros(1024, device="cuda")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["growth cannot be judged: no step ended; *"])


@needs_gpu
def test_without_the_command_growth_is_an_error_that_says_so_and_a_peak_is_judged(run, monkeypatch):
    monkeypatch.delenv("OOMSCOPE", raising=False)
    monkeypatch.setenv("PATH", "")
    result = run("""
    @pytest.mark.gpu_memory(growth="0B/step")
    def test_growth():
        train(12)

    @pytest.mark.gpu_memory(max="8MiB")
    def test_peak():
        train(2)
    """)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["gpu_memory: growth is judged by the `oomscope` command, *"])


@needs_gpu
@needs_judge
def test_the_first_of_two_optimizers_ends_the_step(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="0B/step")
    def test_two():
        train(2, optimizers=2)
    """)
    result.stdout.fnmatch_lines(["GPU 0: growth cannot be judged: 2 steps, *"])


@needs_gpu
@needs_judge
def test_steps_can_be_marked_by_hand(run):
    result = run("""
    @pytest.mark.gpu_memory(growth="1KiB/step")
    def test_inference(gpu_memory):
        kept.clear()
        for _ in range(8):
            kept.append(torch.zeros(1024, device="cuda"))
            gpu_memory.step()
    """)
    result.stdout.fnmatch_lines(["GPU 0: memory grows by 4.00 KiB per step, growth=1.00 KiB/step is allowed"])


@needs_gpu
def test_what_an_earlier_test_peaked_at_does_not_count(run):
    result = run("""
    def test_before():
        torch.zeros(64 * 2**20, dtype=torch.uint8, device="cuda")

    @pytest.mark.gpu_memory(max="4MiB")
    def test_small():
        kept.clear()
        torch.zeros(2**20, dtype=torch.uint8, device="cuda")
    """)
    result.assert_outcomes(passed=2)


@needs_gpu
def test_a_fixture_of_the_test_counts(run):
    result = run("""
    @pytest.fixture
    def model():
        return torch.zeros(8 * 2**20, dtype=torch.uint8, device="cuda")

    @pytest.mark.gpu_memory(max="4MiB")
    def test_fixture(model):
        pass
    """)
    result.assert_outcomes(failed=1)


@needs_gpu
def test_a_test_that_fails_by_itself_keeps_its_error(run):
    result = run("""
    @pytest.mark.gpu_memory(max="1MiB")
    def test_wrong():
        tensor = torch.zeros(2 * 2**20, dtype=torch.uint8, device="cuda")
        raise ValueError("its own")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*ValueError: its own", "*gpu memory*", "  GPU 0: peak 2.00 MiB"])


@needs_gpu
def test_junit_holds_the_peak(run, pytester):
    run("""
    @pytest.mark.gpu_memory(max="4MiB")
    def test_peak():
        torch.zeros(2 * 2**20, dtype=torch.uint8, device="cuda")
    """, "--junitxml", "out.xml")
    assert f'name="gpu_memory_peak_0" value="{2 * MIB}"' in (pytester.path / "out.xml").read_text()


@needs_gpu
@needs_judge
def test_the_closest_marker_counts(run):
    result = run("""
    @pytest.mark.gpu_memory(max="1MiB", growth="0B/step")
    class TestAll:
        @pytest.mark.gpu_memory(max="64MiB")
        def test_it(self):
            train(10)
    """)
    result.assert_outcomes(passed=1)


def test_without_torch_a_marked_test_is_skipped_with_a_reason(pytester, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    pytester.makepyfile("""
        import pytest

        @pytest.mark.gpu_memory(max="1MiB")
        def test_it():
            pass

        def test_other():
            pass
    """)
    result = pytester.runpytest("-p", "pytest_oomscope", "-rs")
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED*gpu_memory: PyTorch cannot be imported: *"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [("max='big'", "*'big' is not a size*"), ("", "*states neither*"), ("maximum='1MiB'", "*unexpected keyword*")],
)
def test_wrong_limits_are_told_at_collection(pytester, arguments, says):
    pytester.makepyfile(f"""
        import pytest

        @pytest.mark.gpu_memory({arguments})
        def test_it():
            pass
    """)
    result = pytester.runpytest("-p", "pytest_oomscope")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([says])
