import json
import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs.toy import same_state

from jaxrl.runs import ExperimentError, checkpoints
from jaxrl.runs.checkpoints import Checkpoint, load_newest, save
from jaxrl.training import Progress


class Leaves(NamedTuple):
    floats: jax.Array
    nested: dict
    half: jax.Array
    flags: jax.Array
    small: jax.Array
    empty: jax.Array
    keys: jax.Array
    other_keys: jax.Array


def make_state(scale=1.0):
    seeds = jnp.arange(2)
    return Leaves(
        floats=scale * jnp.arange(6.0).reshape(2, 3).at[0, 0].set(jnp.nan),
        nested={"a/b.c": (jnp.ones((2, 1)), [jnp.int32([7, 8])])},
        half=jnp.full((2, 2), 1.5, jnp.bfloat16),
        flags=jnp.array([True, False]),
        small=jnp.int8([-1, 3]),
        empty=jnp.zeros((2, 0)),
        keys=jax.vmap(jax.random.key)(seeds),
        other_keys=jax.vmap(lambda seed: jax.random.key(seed, impl="rbg"))(seeds),
    )


STATE_TYPE = jax.eval_shape(make_state)


def save_three(folder):
    for i in (1, 2, 3):
        progress = Progress(iteration=np.int32(i), steps=np.int32([i * 10, i * 20]))
        checkpoint = Checkpoint(make_state(i), progress, {"metrics.jsonl": i})
        save(folder, checkpoint, total_steps=i * 30, keep=3)


def path_of(folder, i):
    return folder / "checkpoints" / f"{i * 30:012d}"


def test_every_kind_of_leaf_comes_back(tmp_path):
    save_three(tmp_path)
    checkpoint = load_newest(tmp_path, STATE_TYPE)
    same_state(checkpoint.state, make_state(3))
    assert checkpoint.file_sizes == {"metrics.jsonl": 3}
    assert checkpoint.progress.iteration == 3
    np.testing.assert_array_equal(checkpoint.progress.steps, [30, 60])


def test_only_the_last_ones_are_kept_and_there_is_no_code(tmp_path):
    for i in range(5):
        progress = Progress(iteration=np.int32(i), steps=np.int32(i))
        save(tmp_path, Checkpoint(make_state(), progress, {}), total_steps=i, keep=2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["000000000003", "000000000004"]
    files = [path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    assert not any(name.endswith((".pkl", ".pickle", ".py")) for name in files)


def truncate(path):
    file = path / "arrays.npz"
    file.write_bytes(file.read_bytes()[:-5])


def flip_a_bit(path):
    file = path / "arrays.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty_a_file(path):
    (path / "arrays.npz").write_bytes(b"")


def lose_the_arrays(path):
    (path / "arrays.npz").unlink()


def lose_the_manifest(path):
    (path / "manifest.json").unlink()


def half_a_manifest(path):
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text[: len(text) // 2])


def other_digit_in_the_manifest(path):
    text = (path / "manifest.json").read_text()
    assert '"iteration": 3' in text
    (path / "manifest.json").write_text(text.replace('"iteration": 3', '"iteration": 4'))


def other_kind_of_manifest(path):
    (path / "manifest.json").write_text(json.dumps([1, 2]))


def no_more_than_a_folder(path):
    shutil.rmtree(path)
    path.mkdir()


def a_file_instead(path):
    shutil.rmtree(path)
    path.write_text("")


DAMAGES = [
    (truncate, "arrays.npz is damaged"),
    (flip_a_bit, "arrays.npz is damaged"),
    (empty_a_file, "arrays.npz is damaged"),
    (lose_the_arrays, "arrays.npz is missing"),
    (lose_the_manifest, "its manifest.json cannot be read"),
    (half_a_manifest, "its manifest.json is damaged"),
    (other_digit_in_the_manifest, "its manifest.json is damaged"),
    (other_kind_of_manifest, "its manifest.json is damaged"),
    (no_more_than_a_folder, "its manifest.json cannot be read"),
    (a_file_instead, "its manifest.json cannot be read"),
]


@pytest.fixture(scope="module")
def three_checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    save_three(folder)
    return folder


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_damage_falls_back_to_the_one_before(three_checkpoints, tmp_path, damage, reason):
    folder = tmp_path / "run"
    shutil.copytree(three_checkpoints, folder)
    damage(path_of(folder, 3))
    with pytest.warns(UserWarning, match=f"checkpoint .*000090 cannot be used: {reason}") as warned:
        checkpoint = load_newest(folder, STATE_TYPE)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert checkpoint.progress.iteration == 2
    same_state(checkpoint.state, make_state(2))


def test_all_damaged_is_an_error(three_checkpoints, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(three_checkpoints, folder)
    for i, damage in zip((1, 2, 3), (truncate, lose_the_manifest, flip_a_bit), strict=True):
        damage(path_of(folder, i))
    with (
        pytest.warns(UserWarning, match="cannot be used"),
        pytest.raises(ExperimentError, match=r"no checkpoint of .* can be used"),
    ):
        load_newest(folder, STATE_TYPE)


def test_the_format_of_earlier_versions_is_named(three_checkpoints, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(three_checkpoints, folder)
    path = path_of(folder, 3)
    (path / "arrays").mkdir()
    (path / "arrays.npz").rename(path / "arrays" / "manifest.ocdbt")
    document = json.loads((path / "manifest.json").read_text())
    content = document["content"]
    content["sha256"] = {"arrays/manifest.ocdbt": content["sha256"]["arrays.npz"]}
    document["sha256"] = checkpoints._content_digest(content)
    (path / "manifest.json").write_text(json.dumps(document))
    with pytest.warns(UserWarning, match="an earlier version of jaxrl wrote it, with orbax"):
        checkpoint = load_newest(folder, STATE_TYPE)
    assert checkpoint.progress.iteration == 2


def test_another_state_is_refused(three_checkpoints):
    other = STATE_TYPE._replace(floats=jax.ShapeDtypeStruct((2, 4), jnp.float32))
    with (
        pytest.warns(UserWarning, match="another version of the algorithm"),
        pytest.raises(ExperimentError),
    ):
        load_newest(three_checkpoints, other)


def test_none_was_finished(tmp_path):
    assert load_newest(tmp_path, STATE_TYPE) is None
    (tmp_path / "checkpoints" / ".unfinished" / "arrays.npz").mkdir(parents=True)
    assert load_newest(tmp_path, STATE_TYPE) is None
    save_three(tmp_path)
    assert not (tmp_path / "checkpoints" / ".unfinished").exists()
