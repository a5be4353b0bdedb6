"""The command `ricsk`, as a person and as a script use it."""

import io
import json
import os
import pty
import re
import stat
import subprocess
import sys
import types
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ricsk import CNNClassifier
from ricsk.command import main
from ricsk.datasets import load_digits
from ricsk.files import open_photograph, read_header
from ricsk.keys import PrivateKey, PublicKey, SecretKey

X, Y = load_digits(size=32)


@pytest.fixture
def ricsk(capfdbinary, monkeypatch):
    """Run the command: its code, standard output and standard error."""
    monkeypatch.delenv("RICSK_KEYFILE", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return end.value.code, out.decode(), err.decode()

    return run


@pytest.fixture
def keyfile(tmp_path):
    path = tmp_path / "key"
    SecretKey(bytes(range(32))).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "of 2026").mkdir(parents=True)
    for i, image in enumerate(X[:4, ..., 0]):
        Image.fromarray(image).save(folder / ("of 2026" if i > 1 else "") / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "digits.joblib"
    classifier = CNNClassifier(width=8, epochs=3, random_state=0).fit(X[:800], Y[:800])
    joblib.dump(classifier, path)
    return path


def read_all(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_day_with_a_folder(ricsk, tmp_path, photos):
    keyfile, sealed, back = (tmp_path / name for name in ("my.key", "sealed", "back"))
    code, out, err = ricsk("keygen", keyfile)
    assert (code, out) == (0, "")
    assert stat.S_IMODE(keyfile.stat().st_mode) == 0o600
    key = SecretKey.from_file(keyfile)
    assert key.key_id in err
    assert key.reveal() not in err
    code, out, err = ricsk("encrypt", photos, sealed, "--key", keyfile)
    assert (code, out) == (0, "")
    assert "no classifier was asked about" in err
    assert err.endswith("4 done\n")
    assert set(read_all(sealed)) == {Path(f"{name}.png") for name in read_all(photos)}
    code, out, err = ricsk("inspect", sealed / "0.png.png")
    assert code == 0
    assert re.search(rf"key id +{key.key_id}", out)
    assert ricsk("decrypt", sealed, back, "--key", keyfile)[0] == 0
    assert read_all(back) == read_all(photos)


def test_a_model_reads_the_sealed_pictures_as_the_photographs(
    ricsk, keyfile, photos, tmp_path, model
):
    sealed = tmp_path / "sealed"
    shared = ("--model", model, "--trust-model")
    code, _, err = ricsk("encrypt", photos, sealed, "--key", keyfile, *shared)
    assert code == 0, err
    plain = ricsk("classify", photos, *shared)[1].splitlines()
    found = ricsk("classify", sealed, *shared)[1].splitlines()
    assert [line.split("\t")[1] for line in found] == [line.split("\t")[1] for line in plain]
    code, out, err = ricsk("classify", photos / "0.png", *shared, "--json")
    assert json.loads(out)["label"] == int(plain[0].split("\t")[1])
    one = tmp_path / "one.png"
    assert ricsk("encrypt", photos / "0.png", one, "--key", keyfile, *shared)[0] == 0
    assert ricsk("classify", one, *shared)[1].split("\t")[1] == plain[0].split("\t")[1]


@pytest.mark.parametrize("scheme", ["etc", "pe", "le"])
def test_other_schemes_encrypt_pixels_alone(ricsk, keyfile, photos, tmp_path, scheme):
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    (photos / "note.txt").write_text("no picture")
    Image.fromarray(X[4, :20, :, 0]).save(photos / "odd.jpg")
    shared = ("--key", keyfile, "--scheme", scheme)
    code, _, err = ricsk("encrypt", photos, sealed, *shared, "--jobs", 2)
    assert code == 1
    assert "Pixels alone are kept" in err
    assert "note.txt: cannot read the image" in err
    assert "5 done, 1 failed" in err
    header = read_header(sealed / "odd.jpg.png")
    assert (header.scheme, header.image_shape) == (scheme, (20, 32, 1))
    assert ricsk("encrypt", photos, sealed, *shared, "--resume")[2].endswith(
        "5 skipped, 1 failed\n"
    )
    other = "pe" if scheme == "etc" else "etc"
    changed = ("--key", keyfile, "--scheme", other, "--resume")
    assert ricsk("encrypt", photos, sealed, *changed)[2].endswith("6 failed\n")
    assert ricsk("decrypt", sealed, back, "--key", keyfile)[0] == 0
    for path in photos.rglob("*.???"):
        if path.suffix != ".txt":
            found = Image.open(back / path.relative_to(photos).with_name(f"{path.name}.png"))
            np.testing.assert_array_equal(np.asarray(found), np.asarray(Image.open(path)))


def test_a_model_of_another_scheme_says_the_size(ricsk, keyfile, photos, tmp_path, model):
    Image.fromarray(X[4, :20, :, 0]).save(photos / "odd.png")
    arguments = ("--key", keyfile, "--scheme", "etc", "--block-size", 8)
    one = tmp_path / "one.png"
    shared = ("--model", model, "--trust-model")
    assert ricsk("encrypt", photos / "odd.png", one, *arguments, *shared)[0] == 0
    header = read_header(one)
    assert (header.image_shape, header.parameters["block_size"]) == ((32, 32, 1), 8)


def test_a_picture_through_pipes(keyfile, photos, tmp_path):
    ricsk = [sys.executable, "-m", "ricsk"]
    plain = (photos / "0.png").read_bytes()
    shared = ["--key", str(keyfile)]
    encrypted = subprocess.run(
        [*ricsk, "encrypt", "-", "-", *shared, "--scheme", "pe"],
        input=plain,
        capture_output=True,
        check=True,
    )
    back = subprocess.run(
        [*ricsk, "decrypt", "-", "-", *shared],
        input=encrypted.stdout,
        capture_output=True,
        check=True,
    )
    found = np.asarray(Image.open(io.BytesIO(back.stdout)))
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(plain))))


def test_options_that_do_not_fit_the_scheme(ricsk, keyfile, photos, tmp_path):
    arguments = ("encrypt", photos, tmp_path / "sealed", "--key", keyfile)
    code, _, err = ricsk(*arguments, "--scheme", "pe", "--block-size", 4)
    assert (code, "pe has no blocks" in err) == (2, True)
    code, _, err = ricsk(*arguments, "--scheme", "etc", "--recipient", tmp_path / "public")
    assert (code, "etc has no recipients" in err) == (2, True)


def test_weights_in_the_layout_of_a_repository(ricsk, keyfile, photos, tmp_path, monkeypatch):
    """Of timm, for which a stand-in takes its place here: it does not import everywhere."""
    made = {}

    class Network(torch.nn.Module):
        def __init__(self, num_classes):
            super().__init__()
            self.num_classes = num_classes
            self.head = torch.nn.Linear(3, num_classes)

        def forward(self, x):
            return self.head(x.mean(dim=(2, 3)))

    def create_model(name, pretrained, num_classes, pretrained_cfg_overlay):
        made.update(name=name, pretrained=pretrained)
        network = Network(num_classes)
        network.pretrained_cfg = pretrained_cfg_overlay
        return network

    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model))
    weights = tmp_path / "model.safetensors"
    trained = Network(2)
    save_file(trained.state_dict(), weights)
    arguments = ("classify", photos / "0.png", "--model", weights, "--json")
    code, _, err = ricsk(*arguments)
    assert code == 4
    assert "give --model timm:NAME --weights model.safetensors" in err
    config = {"architecture": "small", "num_classes": 2, "label_names": ["cat", "dog"]}
    config["pretrained_cfg"] = {"input_size": [3, 32, 32], "mean": [0, 0, 0], "std": [1, 1, 1]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, out, err = ricsk(*arguments)
    assert code == 0, err
    assert made == {"name": "small", "pretrained": False}
    pixels = torch.from_numpy(np.array(Image.open(photos / "0.png").convert("RGB"))) / 255
    expected = trained(pixels.permute(2, 0, 1)[None]).argmax()
    assert json.loads(out)["label"] == ["cat", "dog"][expected]


def test_models_that_cannot_be_used_end_in_a_code_and_a_hint(
    ricsk, keyfile, photos, tmp_path, model
):
    arguments = ("encrypt", photos, tmp_path / "sealed", "--key", keyfile, "--model")
    code, _, err = ricsk(*arguments, model)
    assert code == 4
    assert "allow it by --trust-model" in err
    code, _, err = ricsk(*arguments, tmp_path / "gone.skops")
    assert code == 4
    assert "there is no file" in err
    code, _, err = ricsk(*arguments, "model.h5")
    assert code == 4
    assert not (tmp_path / "sealed").exists()
    (tmp_path / "text").write_text("no picture")
    arguments = ("encrypt", tmp_path / "text", tmp_path / "s", "--key", keyfile, "--trust-model")
    code, _, err = ricsk(*arguments, "--model", model)
    assert code == 1
    assert "Leave --model out" in err


def test_resume_force_and_dry_run(ricsk, keyfile, photos, tmp_path):
    sealed = tmp_path / "sealed"
    arguments = ("encrypt", photos, sealed, "--key", keyfile)
    code, out, _ = ricsk(*arguments, "--dry-run")
    assert code == 0
    assert len(out.splitlines()) == 4
    assert not sealed.exists()
    assert ricsk(*arguments)[0] == 0
    before = read_all(sealed)
    code, _, err = ricsk(*arguments)
    assert code == 1
    assert err.count("exists, and is not overwritten") == 4
    code, _, err = ricsk(*arguments, "--resume")
    assert code == 0
    assert "4 skipped" in err
    assert read_all(sealed) == before
    assert ricsk(*arguments, "--force", "--quiet") == (0, "", "")
    assert read_all(sealed) != before


def test_a_bad_file_is_named_at_the_end_and_stops_nothing(ricsk, keyfile, photos, tmp_path):
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    ricsk("encrypt", photos, sealed, "--key", keyfile)
    (sealed / "0.png.png").write_bytes(b"damaged")
    code, out, err = ricsk("decrypt", sealed, back, "--key", keyfile, "--json")
    assert code == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == ["failed", "done", "done", "done"]
    assert "0.png.png: " in err
    assert len(read_all(back)) == 3


def test_streams(keyfile, tmp_path):
    command = [sys.executable, "-m", "ricsk"]
    options = ["--key", str(keyfile), "--quiet"]
    content = np.random.default_rng(0).bytes(200_000)
    run = {"capture_output": True, "check": True}
    sealed = subprocess.run([*command, "encrypt", "-", "-", *options], input=content, **run).stdout
    assert open_photograph(io.BytesIO(sealed), keyfile).data == content
    back = subprocess.run([*command, "decrypt", "-", "-", *options], input=sealed, **run)
    assert back.stdout == content


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("encrypt", "photos", "x"), 3, "Give --key KEYFILE, or make one"),
        (("encrypt", "photos", "x", "--key", "gone"), 3, "there is no key file"),
        (("encrypt", "gone", "x", "--key", "key"), 2, "there is no file or folder 'gone'"),
        (("encrypt", "photos", "photos/x", "--key", "key"), 1, "Give a destination outside of it"),
        (("encrypt", "photos"), 2, "Missing argument 'DST'"),
        (("encrypt", "photos", "x", "--kex", "key"), 2, "No such option"),
        (("decrypt", "photos/0.png", "x", "--key", "key"), 3, "wrong key, damaged, or not sealed"),
        (("inspect", "photos/0.png"), 1, "it has no header of ricsk"),
        (("classify", "photos"), 2, "Missing option '--model'"),
        (("keygen", "key"), 1, "exists"),
        (("keygen", "new", "--post-quantum"), 2, "add --public FILE"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_errors_end_in_a_code_and_a_hint(
    ricsk, keyfile, photos, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    found, out, err = ricsk(*arguments)
    assert (found, out) == (code, "")
    assert "ricsk: " in err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "x").exists()


def test_another_key_is_refused_by_its_id(ricsk, keyfile, photos, tmp_path):
    sealed, other = tmp_path / "sealed", tmp_path / "other"
    ricsk("encrypt", photos, sealed, "--key", keyfile)
    ricsk("keygen", other)
    code, _, err = ricsk("decrypt", sealed / "0.png.png", tmp_path / "x", "--key", other)
    assert code == 3
    assert read_header(sealed / "0.png.png").key_id in err


def test_the_key_may_come_from_the_environment(ricsk, keyfile, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("RICSK_KEYFILE", str(keyfile))
    assert ricsk("encrypt", photos, tmp_path / "sealed", "-q")[0] == 0


def test_key_pairs(ricsk, tmp_path):
    private, public = tmp_path / "private", tmp_path / "public"
    code, out, err = ricsk("keygen", private, "--public", public)
    assert code == 0
    key = PrivateKey.from_file(private)
    assert PublicKey.from_file(public) == key.public_key
    assert key.fingerprint in err
    assert "RICSK-PRIVATE" not in out + err
    (tmp_path / "taken").write_text("")
    assert ricsk("keygen", tmp_path / "p2", "--public", tmp_path / "taken")[0] == 1
    assert not (tmp_path / "p2").exists()


def test_sealed_to_public_keys_and_then_to_others(ricsk, keyfile, photos, tmp_path):
    pairs = {}
    for name in ("ann", "bob"):
        pairs[name] = tmp_path / name, tmp_path / f"{name}.public"
        ricsk("keygen", pairs[name][0], "--public", pairs[name][1])
    sealed, anew, back = (tmp_path / name for name in ("sealed", "anew", "back"))
    code, _, err = ricsk("encrypt", photos, sealed, "--recipient", pairs["ann"][1])
    assert code == 0, err
    assert ricsk("decrypt", sealed, tmp_path / "no", "--key", pairs["bob"][0])[0] == 1
    assert ricsk("decrypt", sealed, back, "--key", pairs["ann"][0])[0] == 0
    assert read_all(back) == read_all(photos)
    arguments = ("rekey", sealed, anew, "--key", pairs["ann"][0], "--recipient", pairs["bob"][1])
    code, _, err = ricsk(*arguments)
    assert code == 0, err
    assert ricsk("decrypt", anew, tmp_path / "bob's", "--key", pairs["bob"][0])[0] == 0
    assert read_all(tmp_path / "bob's") == read_all(photos)
    assert ricsk("rekey", sealed, tmp_path / "x", "--key", keyfile)[0] == 2


def test_a_terminal_sees_progress(keyfile, photos, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ricsk", "encrypt", str(photos), str(tmp_path / "sealed")]
    terminal = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen([*command, "--key", str(keyfile)], stderr=theirs, env=terminal)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as screen:
        try:
            while part := screen.read(1 << 16):
                shown += part
        except OSError:  # the process has closed its end
            pass
    assert process.wait() == 0
    assert b"4/4" in shown


def test_the_demo_opens_what_it_sealed(ricsk, tmp_path):
    code, out, _ = ricsk("demo", "--output", tmp_path / "demo")
    assert code == 0
    assert "byte for byte the same: yes" in out
    assert "another key: refused" in out


def test_an_audit_is_of_the_schemes_and_pictures_given(ricsk, tmp_path, monkeypatch):
    for label in range(2):
        folder = tmp_path / "audit" / str(label)
        folder.mkdir(parents=True)
        for i, image in enumerate(X[label == Y][:10, ..., 0]):
            Image.fromarray(image).save(folder / f"{i}.png")

    def audit(encryptors, images, labels, **_):
        return f"{list(encryptors)} {images.shape} {len(set(labels))}"

    monkeypatch.setattr("ricsk.audit.audit", audit)
    arguments = ("audit", tmp_path / "audit", "--scheme", "pe", "--scheme", "ele", "--size", "16")
    assert ricsk(*arguments)[:2] == (0, "\"['pe', 'ele'] (20, 16, 16, 1) 2\"\n")
    assert ricsk("audit", tmp_path / "audit" / "0", "--scheme", "pe")[0] == 1


def test_help_loads_no_heavy_library():
    """Neither PyTorch nor scikit-learn is loaded to print help."""
    code = "import sys, ricsk.command; print({'torch', 'sklearn', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"
