"""Commands run side by side: what they say is passed on, and what fails ends the others."""

import pytest

from foresay.errors import UserError
from foresay.workflows.side_by_side import side_by_side, written


def test_commands_run_and_what_they_say_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    side_by_side([["--version"], ["--version"]])
    side_by_side([])
    assert not capfd.readouterr().out  # what they print is not for whoever runs them


def test_what_fails_is_named_with_its_last_words_and_nothing_is_begun_after_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"`foresay nonsense 'a b'` ended with 2:\nforesay: there is no verb 'nonsense'"):
        side_by_side([["nonsense", "a b"], ["other-nonsense"]], at_once=1)
    said = capfd.readouterr().err
    assert "'nonsense'" in said
    assert "other-nonsense" not in said


def test_a_command_is_written_as_a_shell_takes_it() -> None:
    assert written(["corpus", "check", "my file.jsonl"]) == "foresay corpus check 'my file.jsonl'"
