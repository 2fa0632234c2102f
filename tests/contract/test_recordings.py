"""The simulated cluster answers as the real one did: status, reason, headers, errors, keys, kinds, tasks, call by call."""

from __future__ import annotations

import pytest

from tests.contract.exceptions import EXCEPTIONS
from tests.contract.play import played
from tests.contract.recordings import Recording, all_recordings

pytestmark = pytest.mark.slow

ALL = all_recordings()


@pytest.mark.parametrize(
    "recording",
    [
        pytest.param(recording, id=recording.key, marks=pytest.mark.xdist_group(f"{recording.version}/{recording.group}"))
        for recording in ALL
    ],
)
def test_the_simulated_cluster_answers_as_the_recorded_one(recording: Recording) -> None:
    differences = played(recording.version, recording.group)[recording.name]
    excepted, reason = EXCEPTIONS.get(recording.key, ("", ""))
    beginnings = tuple(excepted.split("|")) if excepted else ()
    left = [difference for difference in differences if not (beginnings and difference.startswith(beginnings))]
    assert left == []
    unneeded = [beginning for beginning in beginnings if not any(difference.startswith(beginning) for difference in differences)]
    assert not unneeded, f"no longer needed: {unneeded} ({reason})"


def test_no_recorded_call_is_lost() -> None:
    assert {version: sum(recording.version == version for recording in ALL) for version in ("8.4", "9.2")} == {"8.4": 633, "9.2": 588}


def test_every_exception_names_a_recorded_call() -> None:
    assert EXCEPTIONS.keys() <= {recording.key for recording in ALL}


def test_exceptions_stay_few() -> None:
    assert len(EXCEPTIONS) <= 12
