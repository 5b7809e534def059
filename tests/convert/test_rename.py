"""Templates of names, and whether the tables say one thing in either direction."""

import pathlib

import pytest

from sor_jax.convert.families import CENTERMASK, FAMILIES
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.rename import translate
from tests.convert import networks


@pytest.mark.parametrize(
    "name, template, to, expected",
    [
        ("a.3.b", "a.{i}.b", "x/{i}", "x/3"),
        ("a.3.b", "a.{i-1}.b", "x/{i}", "x/4"),
        ("x/4", "x/{i}", "a.{i-1}.b", "a.3.b"),
        ("x/0", "x/{i}", "a.{i-1}", None),
        ("a.12", "a.{3*i}", "x/{i}", "x/4"),
        ("a.13", "a.{3*i}", "x/{i}", None),
        ("a.13", "a.{3*i+1}", "x/{i}", "x/4"),
        ("a.0", "a.{3*i+1}", "x/{i}", None),
        ("OSA4_2_2", "OSA{s}_{b}_{b}", "{s}/{b}", "4/2"),
        ("OSA4_2_3", "OSA{s}_{b}_{b}", "{s}/{b}", None),
        ("axb", "a.b", "x", None),
        ("a.b.c", "a.b", "x", None),
    ],
)
def test_templates(name, template, to, expected):
    assert translate(name, template, to) == expected


@pytest.mark.parametrize("kind", networks.BODIES)
def test_every_name_has_one_place_and_comes_back(kind):
    names = networks.centermask2(kind, lite=False)
    places = {name: CENTERMASK.place(name) for name in names}
    assert None not in places.values()
    assert len({place.path for place in places.values()}) == len(names)
    for name, place in places.items():
        assert CENTERMASK.their_name(place.path) == (name, place.layout)


def test_bodies_for_detectron2_have_shorter_names():
    assert (
        CENTERMASK.place("stem.stem_2/norm.running_var").path == "frozen/backbone/stem_2/norm/var"
    )
    place = CENTERMASK.place("stage4.OSA4_2.concat.OSA4_2_concat/conv.weight")
    assert place.path == "params/backbone/stage4_2/concat/conv/kernel"


def called(*names):
    return Checkpoint(pathlib.Path("a.pth"), "", dict.fromkeys(names, 0))


def test_each_family_is_recognised_by_its_own_names_only():
    for family in FAMILIES:
        assert recognise(called(*family.signature)).family is family
        for other in FAMILIES:
            assert other is family or not set(other.signature) & set(family.signature)


def test_an_unknown_family_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="a.pth .*conv1.weight") as caught:
        recognise(called("conv1.weight", "fc.bias"))
    assert all(family.name in str(caught.value) for family in FAMILIES)
