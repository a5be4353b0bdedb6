import numpy as np
import pytest
import torch

from ricsk.nn import from_pixels, to_pixels, to_tensor

X = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)


def memory_mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "reversed channels": lambda a, _: a[..., ::-1],
    "reversed": lambda a, _: a[::-1, ::-1, ::-1],
    "one reversed channel": lambda a, _: a[..., :1][..., ::-1],
    "one reversed image": lambda a, _: a[:1][::-1],
    "no axis": lambda a, _: a[0, 0, 0, 0, ...],
    "Fortran order": lambda a, _: np.asfortranarray(a),
    "transposed": lambda a, _: a.transpose(0, 2, 1, 3),
    "every second": lambda a, _: a[::2],
    "repeated": lambda a, _: np.broadcast_to(a[:1], a.shape),
    "read-only": lambda a, _: read_only(a),
    "memory-mapped": lambda a, path: memory_mapped(a, path / "array.npy"),
    "big-endian": lambda a, _: a.astype(a.dtype.newbyteorder(">")),
    "empty": lambda a, _: a[:0],
}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_any_form_become_tensors(form, dtype, tmp_path):
    array = FORMS[form](X.astype(dtype), tmp_path)
    before = array.copy()
    tensor = to_tensor(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensor.numpy().dtype == dtype
    tensor += 1
    if form != "every second" and array.size and not array.flags.writeable:
        np.testing.assert_array_equal(array, before)


def test_what_can_be_shared_is_not_copied():
    array = X.copy()
    assert to_tensor(array).data_ptr() == array.ctypes.data


def test_pixels_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).view(2, 8, 16, 1)
    images = from_pixels(pixels)
    assert images.dtype == torch.float32
    assert images.shape == (2, 1, 8, 16)
    assert torch.equal(to_pixels(images), pixels)
    floats = pixels.double() / 255
    assert torch.equal(from_pixels(floats), floats.permute(0, 3, 1, 2))
    assert to_pixels(
        torch.tensor([-0.1, 1.1, 0.499 / 255, 0.501 / 255]).view(1, 1, 1, 4)
    ).flatten().tolist() == [0, 255, 0, 1]
