from inspect import getdoc

import pytest

from ricsk import AdaptNetClassifier, CNNClassifier, ConvMixerClassifier, ViTClassifier, attacks
from ricsk._docs import fill_in
from ricsk.attacks._network import NetworkAttack
from ricsk.classifiers import TorchClassifier
from ricsk.encryptors import TransformationNetworkEncryptor

TRAINED = [
    AdaptNetClassifier,
    CNNClassifier,
    ConvMixerClassifier,
    ViTClassifier,
    TorchClassifier,
    TransformationNetworkEncryptor,
    *(
        attack
        for attack in (getattr(attacks, name) for name in attacks.__all__)
        if isinstance(attack, type) and issubclass(attack, NetworkAttack)
    ),
]


@pytest.mark.parametrize("trained", TRAINED, ids=lambda trained: trained.__name__)
def test_every_parameter_is_described_in_full(trained):
    lines = getdoc(trained).splitlines()
    described = {line.split(" : ")[0] for line in lines if " : " in line and line[0] != " "}
    described = {name for names in described for name in names.split(", ")}
    assert set(trained._get_param_names()) <= described
    assert not any(line.strip().startswith("{") for line in lines)


def test_texts_are_indented_as_their_places_are():
    @fill_in(one="one : int\n    First.", two="two : int")
    class Documented:
        """Say {one} in a sentence, and {"literal"} braces.

        {one}
            And more.
        {two}
        """

    assert getdoc(Documented) == (
        'Say {one} in a sentence, and {"literal"} braces.\n\n'
        "one : int\n    First.\n    And more.\ntwo : int"
    )


def test_texts_and_places_must_belong_together():
    def missing():
        """Say.

        {one}
        """

    for texts in ({}, {"one": "", "two": ""}, {"two": ""}):
        with pytest.raises(KeyError, match="missing"):
            fill_in(**texts)(missing)


def test_without_docstrings_there_is_nothing_to_fill_in():
    def bare():
        pass

    assert fill_in(one="one")(bare) is bare
    assert bare.__doc__ is None
