"""A fit that was saved is loaded as it was; files that can't be are named in words."""

import json
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import AbleLogit, Logit, named

from spmlex import RESULTS, load, save
from spmlex._result import saving

MODEL = Logit(jnp.ones(2))


class Other(eqx.Module):
    """Another model of the same leaves."""

    coef: jax.Array
    power: int = eqx.field(static=True, default=1)

    def lclk(self, data, supp):
        return jnp.zeros((1, 1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The path of a fit that was saved."""
    path = tmp_path_factory.mktemp("fits") / "panel.fit"
    save(named(), path)
    return path


def test_a_loaded_fit_gives_the_same_numbers(saved):
    again = load(saved, MODEL)
    assert isinstance(again.model, Logit)
    assert again.names == named().names
    assert again.result == RESULTS.successful
    for old, new in zip(jax.tree.leaves(named()), jax.tree.leaves(again), strict=True):
        assert np.array_equal(old, new)
    assert jax.tree.structure(again) == jax.tree.structure(named())
    assert again.summary(kind="sandwich") == named().summary(kind="sandwich")
    assert again.to_frame(kind="opg").equals(named().to_frame(kind="opg"))


def test_every_field_survives_whatever_was_fitted(saved, tmp_path):
    fit = named()
    many = {"list": [jnp.ones(60)], "pair": (np.arange(60), np.ones(60, bool))}
    problem = eqx.tree_at(lambda p: p.data, fit.given, many)
    drift = jnp.ones((7, 1, 2))
    moving = eqx.tree_at(
        lambda p: (p.drift, p.origin), problem, (drift, fit.theta), is_leaf=_is_none
    )
    changed = eqx.tree_at(
        lambda f: (f.given, f.problem, f.moved, f.counts),
        fit,
        (problem, moving, jnp.array(True), jnp.ones(60)),
        is_leaf=_is_none,
    )
    save(changed, tmp_path / "a")
    again = load(tmp_path / "a", MODEL)
    assert jax.tree.structure(again) == jax.tree.structure(changed)
    for old, new in zip(jax.tree.leaves(changed), jax.tree.leaves(again), strict=True):
        assert old.dtype == new.dtype
        assert np.array_equal(old, new)


def _is_none(leaf):
    return leaf is None


def test_data_are_written_once(saved):
    with np.load(saved) as file:
        shapes = [file[name].shape for name in file.files]
    assert shapes.count((60, 3, 2)) == 1


def test_the_file_appears_whole_or_not_at_all(saved, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(saved.read_bytes())

    def fail(file, **rest):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(saving.np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save(named(), path)
    assert path.read_bytes() == saved.read_bytes()
    assert [x.name for x in tmp_path.iterdir()] == ["a"]


def test_a_file_of_another_format_says_which_version_wrote_it(saved, tmp_path):
    with np.load(saved) as file:
        arrays = dict(file)
    head = json.loads(bytes(arrays["head"])) | {"format": 99, "version": "9.9"}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    with (tmp_path / "a").open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match=r"spmlex 9.9 wrote it in format 99"):
        load(tmp_path / "a", MODEL)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other", "tree"])
def test_a_damaged_file_is_named(saved, tmp_path, damage):
    whole = saved.read_bytes()
    middle = len(whole) // 2
    path = tmp_path / "a"
    if damage == "other":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("b.txt", "hello")
    elif damage == "tree":
        with np.load(saved) as file:
            arrays = dict(file)
        head = json.loads(bytes(arrays["head"])) | {"fit": ["class", "eval", {}]}
        arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
        with path.open("wb") as file:
            np.savez(file, **arrays)
    else:
        flipped = bytes(255 - x for x in whole[middle : middle + 200])
        path.write_bytes(
            {
                "cut": whole[:middle],
                "flipped": whole[:middle] + flipped + whole[middle + 200 :],
                "empty": b"",
                "text": b"a,b\n1,2\n",
            }[damage]
        )
    with pytest.raises(ValueError, match="path=.*damaged"):
        load(path, MODEL)


def test_no_pickle_is_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        np.savez(file, head=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path / "a", MODEL)


@pytest.mark.parametrize(
    ("model0", "words"),
    [
        (AbleLogit(jnp.ones(2)), "its class 'AbleLogit', in the file 'Logit'"),
        (Logit(jnp.ones(3)), "its leaves .*3.*, in the file .*2"),
    ],
)
def test_a_model_of_another_form_is_refused(saved, model0, words):
    with pytest.raises(ValueError, match=f"model0={type(model0).__name__}.*{words}"):
        load(saved, model0)


def test_constants_of_the_model_are_compared():
    one, two = Other(jnp.ones(2)), Other(jnp.ones(2), power=2)
    saving._check_form(one, saving._form_of(one))
    with pytest.raises(ValueError, match="its constants"):
        saving._check_form(two, saving._form_of(one))


def test_what_cannot_be_saved_is_named(tmp_path):
    fit = named()
    path = tmp_path / "a"
    keyed = eqx.tree_at(lambda f: f.given.data, fit, {"key": jax.random.split(KEY, 60)})
    with pytest.raises(ValueError, match=r"estimate\.given\.data\.key is a random key"):
        save(keyed, path)
    numbered = eqx.tree_at(lambda f: f.given.data, fit, {1: jnp.ones(60)})
    with pytest.raises(ValueError, match=r"estimate\.given\.data has the key 1"):
        save(numbered, path)
    own = eqx.tree_at(lambda f: f.given.data, fit, MODEL)
    with pytest.raises(ValueError, match=r"data is of type Logit: only dictionaries"):
        save(own, path)
    with pytest.raises(ValueError, match=r"is traced by jit or vmap"):
        eqx.filter_jit(lambda fit: save(fit, path))(fit)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        load(path, MODEL)


KEY = jax.random.key(0)
