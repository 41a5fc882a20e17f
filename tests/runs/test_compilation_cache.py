import jax
import pytest

from jaxrl.runs import enable_compilation_cache

NAMES = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def restored():
    values = {name: getattr(jax.config, name) for name in NAMES}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in values.items():
        jax.config.update(name, value)


def test_the_cache_directory_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert enable_compilation_cache() == tmp_path / "jaxrl"
    assert (tmp_path / "jaxrl").is_dir()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "jaxrl")


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_the_home_directory_where_xdg_says_nothing_usable(tmp_path, monkeypatch, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert enable_compilation_cache() == tmp_path / ".cache" / "jaxrl"


def test_a_configured_directory_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert enable_compilation_cache() == tmp_path / "mine"
    assert not (tmp_path / "other").exists()


def test_without_a_place_the_cache_stays_off(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert enable_compilation_cache() is None
    assert jax.config.jax_compilation_cache_dir is None
