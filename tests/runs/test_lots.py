"""Members in lots: the same as all of them at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import toy

from jaxrl import runs
from jaxrl.runs import lots


@pytest.fixture(autouse=True)
def sixteen(monkeypatch):
    """Small lots, so that few members make several."""
    monkeypatch.setattr(lots, "MOST", 16)


def totals(kept, given):
    """Any function of single members."""
    values, keys = given
    noise = jax.vmap(lambda key: jax.random.uniform(key))(keys)
    after = {"sum": kept["sum"] + values, "keys": keys}
    return after, {"twice": 2 * kept["sum"], "noise": noise}


@pytest.mark.parametrize("count", [1, 5, 16, 32, 34, 40])
def test_lots_come_to_what_the_function_does(count):
    keys = jax.random.split(jax.random.key(0), count)
    kept = {"sum": jnp.arange(3.0 * count).reshape(count, 3), "keys": keys[::-1]}
    given = jnp.ones((count, 3)), keys
    found, expected = jax.jit(lambda: lots.in_lots(totals, kept, given))(), totals(kept, given)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for own, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(own.dtype, jax.dtypes.prng_key):
            own, other = jax.random.key_data(own), jax.random.key_data(other)
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(
    ("count", "size"), [(1, 1), (16, 16), (17, 16), (24, 12), (34, 16), (40, 10), (2048, 16)]
)
def test_a_lot_is_a_divisor_where_there_is_one(count, size):
    assert lots.lot_size(count) == size


def test_an_accelerator_takes_all_at_once(monkeypatch):
    monkeypatch.setattr(lots.jax, "default_backend", lambda: "gpu")
    assert lots.lot_size(2048) == 2048


def test_equal_lots_are_traced_once():
    traced = []

    def function(kept, given):
        traced.append(given.shape)
        return kept, given

    jax.make_jaxpr(lambda x: lots.in_lots(function, x, x))(jnp.zeros((64, 2)))
    assert traced == [(16, 2)]


@pytest.mark.parametrize("varies", [False, True])
def test_a_run_in_lots_is_the_run(monkeypatch, tmp_path, varies):
    """Five members in lots of two, the last of which is left over."""
    specification = toy.specification(varies=varies, members=runs.make_members(range(5)))
    runs.start(specification, tmp_path / "whole")
    monkeypatch.setattr(lots, "MOST", 2)
    runs.start(specification, tmp_path / "lots")
    for file in ("metrics.jsonl", "evaluations.jsonl"):
        text = (tmp_path / "lots" / file).read_text()
        assert len(text.splitlines()) >= 5
        assert text == (tmp_path / "whole" / file).read_text()
