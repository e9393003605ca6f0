"""Images of all kinds, against what they were made of."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageColumn
from PIL import Image

from visionadv.configs import BadInput
from visionadv.data import load_images

GENERATOR = np.random.default_rng(0)


def folder_of_images(folder, sizes=((6, 5),) * 6, mode="RGB", classes=("cat", "dog")):
    """Pictures of (width, height) in folders of their classes; their values."""
    values = []
    for number, (width, height) in enumerate(sizes):
        one = GENERATOR.integers(256, size=(height, width, len(mode)), dtype=np.uint8)
        place = folder / "test" / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one.squeeze(), mode=mode).save(place / f"{number}.png")
        values.append(torch.from_numpy(one).permute(2, 0, 1))
    return values


def parquet(folder, split="test", **columns):
    Dataset.from_dict(**columns).to_parquet(folder / f"{split}.parquet")
    return str(folder)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_image_folder_gives_its_pixels(mode, tmp_path):
    values = folder_of_images(tmp_path, mode=mode)
    data = load_images(str(tmp_path))
    assert data.shape == (len(mode), 5, 6) and data.classes == ("cat", "dog") and len(data) == 6
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1], "by folder"
    expected = torch.stack([values[i] for i in (0, 2, 4, 1, 3, 5)])
    assert data.values.dtype == torch.uint8 and torch.equal(data.values, expected)
    assert torch.equal(data.images(1, 3), expected[1:3].float() / 255)
    assert torch.equal(data.images([4, 0]), expected[[4, 0]].float() / 255)
    assert torch.equal(data.images(torch.tensor([4, 0])), data.images([4, 0]))
    assert torch.equal(data.images(4), data.images([4, 5])), "to the end"
    some = load_images(str(tmp_path), max_samples=2)
    assert len(some) == 2 and torch.equal(some.values, expected[:2]) and some.classes == ("cat", "dog")
    assert len({data.fingerprint, some.fingerprint}) == 2
    assert load_images(str(tmp_path)).fingerprint == data.fingerprint


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_unequal_sizes_are_refused_or_made_equal(tmp_path):
    folder_of_images(tmp_path, sizes=[(6, 5), (8, 4)])
    with pytest.raises(BadInput, match=r"the first is 6x5, image 1 is 8x4; give --image_size"):
        load_images(str(tmp_path))
    data = load_images(str(tmp_path), image_size=4)
    assert data.shape == (3, 4, 4) and data.values.shape == (2, 3, 4, 4)
    whole = Image.open(tmp_path / "test" / "dog" / "1.png")  # its middle is cut out, and nothing is scaled
    expected = torch.from_numpy(np.array(whole)[:, 2:6]).permute(2, 0, 1)
    assert torch.equal(data.values[1], expected)


def test_scikit_learns_digits():
    train, test = load_images(split="train"), load_images()
    assert (len(train), len(test), test.shape, len(test.classes)) == (1438, 359, (1, 8, 8), 10)
    assert test.images(0, 359).max() == 1 and test.images(0, 9).dtype == torch.float32
    from sklearn.datasets import load_digits

    digits = load_digits()
    assert torch.equal(test.images([1])[0, 0], torch.from_numpy(digits.images[9] / 16).float())
    assert test.labels[1] == digits.target[9]
    assert len(load_images(max_samples=7)) == 7
    assert train.fingerprint != test.fingerprint
    with pytest.raises(BadInput, match="no split 'validation' in scikit-learn's digits; there are train, test"):
        load_images(split="validation")


def test_rows_of_numbers_are_scaled_by_the_training_split(tmp_path):
    features = Features({"a": Value("float32"), "b": Value("int32"), "c": Value("float64"), "label": ClassLabel(2)})
    columns = {"a": [0.0, 4.0, 2.0], "b": [10, 20, 30], "c": [5.0, 5.0, 5.0], "label": [0, 1, 0]}
    parquet(tmp_path, "train", mapping=columns, features=features)
    columns = {"a": [1.0, -1.0], "b": [15, 40], "c": [5.0, 6.0], "label": [1, 1]}
    data = load_images(parquet(tmp_path, mapping=columns, features=features))
    assert data.shape == (3,) and data.labels.tolist() == [1, 1]
    assert data.images([0, 1]).tolist() == [[0.25, 0.25, 0.0], [0.0, 1.0, 1.0]], "clipped beyond the range"


def test_labels_that_are_no_class_labels(tmp_path):
    columns = {"x": [0.0, 1.0], "target": ["dog", "cat"]}
    parquet(tmp_path, "train", mapping={"x": [0.0, 1.0], "target": ["emu", "cat"]})
    data = load_images(parquet(tmp_path, mapping=columns))
    assert data.classes == ("cat", "dog", "emu") and data.labels.tolist() == [1, 0], "of all splits"
    (tmp_path / "numbers").mkdir()
    data = load_images(parquet(tmp_path / "numbers", mapping={"x": [0.0, 1.0], "label": [3, 0]}))
    assert data.classes == ("0", "1", "2", "3") and data.labels.tolist() == [3, 0]


def pictures(count=2):
    return [Image.fromarray(GENERATOR.integers(256, size=(4, 4), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize(
    ("columns", "options", "told"),
    [
        ({"image": 2, "x": [1, 2]}, {}, "no column of labels; there are image, x: name one with --label_column"),
        ({"image": 2, "label": [1, 2]}, {"label_column": "y"}, "no column 'y' in .*; there are image, label"),
        ({"image": 2, "label": [1, 2]}, {"image_column": "x"}, "no column 'x' of images in .* there are image"),
        ({"image": 2, "other": 2, "label": [1, 2]}, {}, "name one of image, other with --image_column"),
        ({"image": 2, "label": [1, -1]}, {}, "row 1 of .* has no label"),
        ({"image": 2, "label": [0.5, 1]}, {}, "column 'label' of .* holds no classes"),
        ({"image": 2, "label": [1.0, float("nan")]}, {}, "row 1 of .* has no label"),
        ({"image": 2, "labels": [[0, 1], [1]]}, {}, "column 'labels' of .* has several values a row"),
        ({"text": ["a", "b"], "label": [0, 1]}, {}, "neither images nor numbers; there are text, label"),
        ({"image": 2, "label": [1, 2]}, {"split": "validation"}, "no split 'validation' in .*; there are test"),
        ({"image": 2, "label": [1, 2]}, {"max_samples": 0}, "zero samples: max_samples must be at least 1"),
    ],
)
def test_mistakes(columns, options, told, tmp_path):
    made = {name: pictures(values) if isinstance(values, int) else values for name, values in columns.items()}
    found = Dataset.from_dict(made)
    for name, values in columns.items():
        if isinstance(values, int):
            found = found.cast_column(name, ImageColumn())
    found.to_parquet(tmp_path / "test.parquet")
    with pytest.raises(BadInput, match=told):
        load_images(str(tmp_path), **options)


def test_digits_take_no_options_of_a_data_set():
    with pytest.raises(BadInput, match="digits have no image_size; give a data set, or leave it out"):
        load_images(image_size=5)


def test_a_truncated_picture_is_named(tmp_path):
    folder_of_images(tmp_path, sizes=((40, 40),) * 4)
    [path] = tmp_path.glob("test/cat/2.png")
    path.write_bytes(path.read_bytes()[:-900])
    data = load_images(str(tmp_path))
    assert len(data.images([0, 2, 3])) == 3, "cats come first"
    with pytest.raises(BadInput, match=r"image 1 of .* can't be read"):
        data.images([0, 1])


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("P", 3), ("LA", 1), ("1", 1)])
def test_pictures_of_other_modes(mode, channels, tmp_path):
    """Transparency is left out, palettes are looked up."""
    made = Image.fromarray(GENERATOR.integers(256, size=(6, 5, 3), dtype=np.uint8)).convert(mode)
    for animal in ("cat", "dog"):
        (tmp_path / "test" / animal).mkdir(parents=True)
        made.save(tmp_path / "test" / animal / "0.png")
    image, _ = load_images(str(tmp_path)).images(0)
    expected = np.asarray(made.convert("RGB" if channels == 3 else "L"), dtype=np.float32).reshape(6, 5, channels) / 255
    assert torch.allclose(image, torch.from_numpy(expected).permute(2, 0, 1))


def test_more_than_8_bits_are_refused(tmp_path):
    for animal in ("cat", "dog"):
        (tmp_path / "test" / animal).mkdir(parents=True)
        Image.fromarray(np.full((6, 5), 60000, dtype=np.uint16)).save(tmp_path / "test" / animal / "0.png")
    with pytest.raises(BadInput, match="more than 8 bits a value"):
        load_images(str(tmp_path))


def test_a_folder_of_one_class_tells_what_is_missing(tmp_path):
    (tmp_path / "test" / "cat").mkdir(parents=True)
    pictures(1)[0].save(tmp_path / "test" / "cat" / "0.png")
    with pytest.raises(BadInput, match="pictures without labels; image folders need one for each class"):
        load_images(str(tmp_path))


def test_what_isnt_there(tmp_path):
    with pytest.raises(BadInput, match="is no folder"):
        load_images("./nowhere")
    with pytest.raises(BadInput, match="neither a local folder nor in the cache, and HF_HUB_OFFLINE"):
        load_images("nobody/nothing-of-this-name")


def test_what_save_to_disk_wrote(tmp_path):
    rows = Dataset.from_dict({"image": pictures(), "label": [0, 1]}).cast_column("image", ImageColumn())
    DatasetDict({"test": rows}).save_to_disk(tmp_path)
    assert load_images(str(tmp_path)).shape == (1, 4, 4)


def test_real_sets(data_dir):
    data = load_images(str(data_dir / "mnist"), max_samples=100)
    assert data.shape == (1, 28, 28) and data.labels[:5].tolist() == [7, 2, 1, 0, 4] and data.values.max() == 255
    data = load_images(str(data_dir / "cifar10"), max_samples=20)
    assert data.shape == (3, 32, 32) and data.classes[0] == "airplane"
    assert load_images(str(data_dir / "higgs"), max_samples=20).shape == (28,)
