"""Ray for the time of a run. What needs Ray itself is in test_ray_run."""

import os
import signal

import pytest

from spacy_llm_tasks.annotate.engines import ray_session
from spacy_llm_tasks.annotate.engines.ray_session import bytes_ahead, require_ray
from spacy_llm_tasks.annotate.reading.shards import Cut


def test_a_missing_or_old_ray_is_told(monkeypatch):
    def missing(name):
        raise ray_session.PackageNotFoundError(name)

    for version, found in (
        (missing, "none"),
        (lambda name: "2.54.1", "2.54.1"),
        (lambda name: "1.99.0", "1.99.0"),
    ):
        monkeypatch.setattr(ray_session, "version", version)
        with pytest.raises(ImportError, match=rf"E870.*2\.55.*{found}.*spacy-llm-tasks\[ray\]"):
            require_ray()
    for good in ("2.55.0", "2.60.0rc1", "3.0.0"):
        monkeypatch.setattr(ray_session, "version", lambda name, good=good: good)
        require_ray()


def test_defaults_are_safe_and_what_the_user_has_set_counts(monkeypatch):
    for name in (*ray_session.OURS, *ray_session.TOKENS):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with ray_session._environment(ray_session.OURS, with_token=True):
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        token = os.environ["RAY_AUTH_TOKEN"]
        assert len(token) == 64
    assert dict(os.environ) == before
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "mine")
    with ray_session._environment(ray_session.OURS, with_token=True):
        assert os.environ["RAY_AUTH_MODE"] == "disabled" and "RAY_AUTH_TOKEN" not in os.environ
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    # How a cluster is guarded is the cluster's affair.
    with ray_session._environment(ray_session.EVERYWHERE, with_token=False):
        assert set(os.environ) - set(before) == {
            "RAY_USAGE_STATS_ENABLED",
            "RAY_AUTH_MODE",
            "RAY_AUTH_TOKEN_PATH",
        }


def test_signals_stay_with_the_program():
    def mine(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with ray_session._signals_kept():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_is_read_ahead_is_bounded_by_the_shards():
    small = bytes_ahead(Cut(shard_characters=1000), workers=2)
    assert small == ray_session.LEAST_BYTES_AHEAD
    large = bytes_ahead(Cut(shard_characters=10_000_000), workers=4)
    assert large == 10 * 4 * 10_000_000
