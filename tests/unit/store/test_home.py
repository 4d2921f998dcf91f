"""Where state, cache and configuration lie."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tutor.store.home import Home


def test_mltutor_home_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTUTOR_HOME", str(tmp_path))
    home = Home.locate()
    assert home.progress == tmp_path / "state" / "progress.json"
    assert home.history.parent == home.state
    assert home.cache.is_relative_to(tmp_path / "cache")
    assert home.builds.is_relative_to(home.cache)
    assert not (tmp_path / "state").exists()


def test_xdg_folders_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLTUTOR_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    home = Home.locate()
    assert home.state == tmp_path / "s" / "mltutor"
    assert home.cache.parent == tmp_path / "c" / "mltutor"


def test_the_cache_is_per_host_and_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Home.locate().cache
    assert sys.implementation.cache_tag is not None
    assert sys.implementation.cache_tag.replace("-", "_") in here.name
    monkeypatch.setattr(socket, "gethostname", lambda: "other/host")
    assert Home.locate().cache.name.startswith("other_host-")
    assert Home.locate().cache != here
