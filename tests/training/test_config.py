"""Settings that no run can have are refused before it begins."""

import pytest

from training.cli import ablate, train
from training.config import TrainConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", 0),
        ("warmup", 0),
        ("encoder_lr", -0.1),
        ("muon_scale", -1.0),
        ("muon_scale", float("nan")),
        ("dropout", 1.0),
        ("word_dropout", -0.1),
        ("decay", -0.1),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize("command", [train, ablate])
def test_the_command_says_so_in_one_line(command, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert command(["--muon-scale", "0"]) == 1
    assert capsys.readouterr().err == f"bodkin {command.__name__}: muon_scale must be above 0, not 0.0\n"
