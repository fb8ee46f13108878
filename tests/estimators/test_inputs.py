"""The same picture in any form is the same input; what is no picture is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import headstart as hs
from estimators.learners import drawings, nearest_mean, small_learner
from headstart.datasets.decoding import Form, decode
from headstart.estimators.inputs import inputs_for, inputs_of_record
from headstart.estimators.pictures import labelled_pictures, pictures_in
from headstart.problems.folder import Folder, FolderSettings

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
PIXELS[0, 0, 0] = 255
PLAIN = torch.from_numpy(PIXELS / 255).float()[:, None]


def plain_inputs(images: Any) -> torch.Tensor:
    return inputs_for(small_learner(), images, "none")(images)


def files(folder: Path) -> list[Path]:
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(3)]


@pytest.mark.parametrize(
    "form",
    [
        lambda _: PIXELS,
        lambda _: PIXELS.astype(np.int64),
        lambda _: PIXELS.astype(np.float32) / 255,
        lambda _: PIXELS.astype(np.float64),
        lambda _: PIXELS.reshape(3, 784),
        lambda _: PIXELS[:, None],
        lambda _: PIXELS[..., None],
        lambda _: PIXELS[:, None].repeat(3, 1),
        lambda _: PIXELS[..., None].repeat(3, 3),
        lambda _: torch.from_numpy(PIXELS),
        lambda _: [torch.from_numpy(image) for image in PIXELS],
        lambda _: list(PIXELS),
        lambda _: PIXELS.tolist(),
        lambda _: [Image.fromarray(image) for image in PIXELS],
        lambda folder: files(folder),
        lambda folder: [str(path) for path in files(folder)],
        lambda folder: np.array([str(path) for path in files(folder)]),
    ],
)
def test_every_form_of_an_image_is_the_same_input(form: Callable[[Path], Any], tmp_path: Path) -> None:
    torch.testing.assert_close(plain_inputs(form(tmp_path)), PLAIN, rtol=0, atol=2e-6)


@pytest.mark.parametrize("white", [16, 65535])
def test_four_and_sixteen_bits_are_told_from_eight(white: int) -> None:
    values = np.array([[[0, white], [white // 2, 0]]])
    found = inputs_for(small_learner(), values, "none")
    assert (found.black, found.white) == (0, white)


def test_negative_values_are_scaled_by_the_support_set_and_queries_by_it_as_well() -> None:
    inputs = inputs_for(small_learner(), PIXELS / 127.5 - 1, "none")
    torch.testing.assert_close(inputs(PIXELS / 127.5 - 1), PLAIN, rtol=0, atol=0.01)
    with pytest.raises(
        hs.BadInputError, match="X has values from 7 to 7, and the learner was fitted to images from -1"
    ):
        inputs(np.full((1, 28, 28), 7.0))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_every_mode_is_read(mode: str) -> None:
    grey = Image.fromarray((PIXELS[0] > 127).astype(np.uint8) * 255)
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    assert image.mode == mode
    torch.testing.assert_close(plain_inputs([image])[0, 0], torch.from_numpy(np.asarray(grey) / 255).float())


def test_what_is_transparent_is_paper() -> None:
    clear = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    assert float(plain_inputs([clear]).min()) == 1
    assert float(plain_inputs(np.asarray(clear)[None]).min()) == 1


def test_a_photograph_stands_as_its_exif_data_say(tmp_path: Path) -> None:
    image, exif = Image.fromarray(PIXELS[0]), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    expected = torch.from_numpy(np.rot90(PIXELS[0], -1).copy() / 255).float()
    torch.testing.assert_close(plain_inputs([tmp_path / "turned.png"])[0, 0], expected)


def test_sizes_may_differ_and_the_middle_is_taken() -> None:
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 255
    found = plain_inputs([wide, np.full((7, 5), 255, np.uint8)])
    assert found.shape == (2, 1, 28, 28)
    assert float(found.min()) == 1


@pytest.mark.parametrize("ink", [1, 0])
def test_a_drawing_is_the_same_whatever_its_polarity_and_size(ink: int) -> None:
    images, _ = drawings()
    inputs = inputs_for(small_learner(ink=ink), images, "auto")
    assert inputs.prepare == "drawing"
    bright, dark = inputs(images), inputs(255 - images)
    torch.testing.assert_close(bright, dark, atol=0.02, rtol=0)
    assert float(bright[:, 0, 0].mean()) == 1 - ink, "paper is what the learner's paper is"


def test_a_learner_of_anybody_s_drawings_gets_them_as_its_folder_had_them(tmp_path: Path) -> None:
    images, _ = drawings(size=50)
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    learner = small_learner()
    learner.made_from = {"example": [1, 28, 28], "polarity": "as_is", "form": "drawing"}
    found = inputs_for(learner, [tmp_path / "a.png"], "auto")([tmp_path / "a.png"])
    expected = torch.from_numpy(decode(tmp_path / "a.png", Form(28, 1, invert=False, drawing=True))) / 255
    assert torch.equal(found[0], expected)


def test_a_learner_of_inverted_images_gets_them_inverted() -> None:
    learner = small_learner()
    learner.made_from = {"example": [1, 28, 28], "polarity": "inverted"}
    inputs = inputs_for(learner, PIXELS, "auto")
    assert inputs.prepare == "none"
    torch.testing.assert_close(inputs(PIXELS), 1 - PLAIN, rtol=0, atol=2e-6)


BAD_INPUTS = [
    (np.full((2, 28, 28), np.nan), "NaN or infinite"),
    (np.full((2, 28, 28), np.inf), "NaN or infinite"),
    (np.zeros((2, 28, 28), complex), "complex128, and no numbers"),
    (["a", 1], "and no numbers, files or images|cannot be read"),
    (np.zeros((2, 3)), r"shape \(3,\) is no image"),
    (np.zeros((2, 2, 28, 28)), r"shape \(2, 28, 28\) is no image"),
    (np.zeros(784), "is one example"),
    (np.zeros((0, 28, 28)), "is empty"),
    ([], "is one example|is empty"),
    ([[1.0, 2.0], [1.0]], "several shapes"),
]


@pytest.mark.parametrize(("images", "sentence"), BAD_INPUTS)
def test_what_is_no_image_is_refused(images: Any, sentence: str) -> None:
    with pytest.raises(hs.BadInputError, match=sentence):
        plain_inputs(images)


def test_a_learner_that_was_built_in_python_gets_bytes_as_its_tasks_gave_them() -> None:
    learner = hs.ProtoNet(hs.Conv4(ways=3, width=4))
    for images in (PIXELS[:, None], torch.from_numpy(PIXELS[:, None])):
        torch.testing.assert_close(inputs_for(learner, images, "auto")(images), PLAIN)
    classifier = hs.FewShotClassifier(learner).fit(PIXELS[:, None], [0, 1, 2])
    assert np.array_equal(classifier.predict_proba(PIXELS[:, None]), classifier.predict_proba(PLAIN))


def test_a_learner_of_vectors_takes_them_as_they_are_and_nothing_else() -> None:
    learner = nearest_mean()
    rows = np.array([[3.0, -700.0], [0.1, 0.2]])
    assert torch.equal(inputs_for(learner, rows, "auto")(rows), torch.from_numpy(rows))
    with pytest.raises(hs.BadInputError, match="no images"):
        inputs_for(learner, rows, "auto")([Image.new("L", (3, 3))])
    sinusoid = small_learner("maml", "sinusoid")
    with pytest.raises(hs.BadInputError, match=r"shape \(2,\); this learner takes \(1,\)"):
        inputs_for(sinusoid, rows, "auto")(rows)
    with pytest.raises(hs.BadInputError, match="needs prepare='none'"):
        inputs_for(sinusoid, rows, "drawing")
    with pytest.raises(hs.BadInputError, match="prepare='thin' is unknown"):
        inputs_for(sinusoid, rows, "thin")


def test_files_that_cannot_be_read_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (good,) = files(tmp_path)[:1]
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:-200])
    Image.new("1", (4000, 3000)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000_000)
    bad = [tmp_path / f"{name}.png" for name in ("text", "cut", "huge", "missing")]
    with pytest.raises(hs.BadInputError) as caught:
        plain_inputs([good, *bad])
    said = str(caught.value)
    assert "0.png" not in said
    for part in (
        "text.png' cannot be read as an image (no image that Pillow knows)",
        "cut.png' cannot be read",
        "huge.png' cannot be read as an image (4000 x 3000 pixels are more than the 10,000,000",
        "missing.png' cannot be read as an image (No such file",
    ):
        assert part in said, said


def test_a_folder_of_classes_is_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a [x]", ".hidden", "a [x]/.hidden"):
        (tmp_path / name).mkdir()
        files(tmp_path / name)
    (tmp_path / "b" / "notes.txt").write_text("left aside")
    found, labels = labelled_pictures(tmp_path)
    assert labels == ["a [x]"] * 3 + ["b"] * 3
    assert found == pictures_in([tmp_path])


@pytest.mark.parametrize("polarity", ["as_is", "inverted"])
@pytest.mark.parametrize(("colour", "prepare"), [("grey", "none"), ("rgb", "none"), ("grey", "drawing")])
def test_a_folder_has_the_same_classes_and_pixels_as_the_problem_has(
    colour: str, prepare: str, polarity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for number, label in enumerate(["star", "birds/finch", "birds/old finch", "moon", "sun"]):
        (tmp_path / "data" / label).mkdir(parents=True)
        pixels = random.integers(0, 256, (41 + 7 * number, 66 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
        Image.fromarray(pixels).resize((300, 200)).save(tmp_path / "data" / label / f"{number}.jpg")
    (tmp_path / "elsewhere").mkdir()
    files(tmp_path / "elsewhere")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    form = {"drawing": "drawing", "none": "as_is"}[prepare]
    settings = FolderSettings(path=tmp_path / "data", colour=colour, form=form, polarity=polarity)
    expected = Folder().load(settings)
    learner = small_learner()
    channels = expected.inputs.shape[1]
    learner.made_from = {"example": [channels, 28, 28], "polarity": polarity, "form": form}
    found, labels = labelled_pictures(tmp_path / "data")
    assert labels == [expected.names[target] for target in expected.targets]
    inputs = inputs_for(learner, found, "auto")(found)
    torch.testing.assert_close(inputs, expected.inputs / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(50, 31), (20, 60, 3), (40, 40, 4)])
def test_an_array_of_another_size_is_what_its_file_is(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found, expected = plain_inputs([pixels]), plain_inputs([tmp_path / "a.png"])
    torch.testing.assert_close(found, expected, rtol=0, atol=4 * 0.5 / 255)  # a file's is rounded four times at most


def test_folders_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(hs.BadInputError, match="is no folder"):
        labelled_pictures(tmp_path / "missing")
    with pytest.raises(hs.BadInputError, match="has no sub-folder with images"):
        labelled_pictures(tmp_path)
    with pytest.raises(hs.BadInputError, match="has no image in it"):
        pictures_in([tmp_path])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    files(tmp_path / "b")
    with pytest.raises(hs.BadInputError, match="has no image of 'a'"):
        labelled_pictures(tmp_path)


@pytest.mark.parametrize("shown", [(16, 16), (20, 30), (20, 30, 3), (3, 16, 16), (400,)])
def test_rows_are_of_the_images_that_were_shown_or_refused(shown: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((4, *shown))
    inputs = inputs_of_record(inputs_for(small_learner(), images, "none").record())
    assert torch.equal(inputs(images.reshape(4, -1)), inputs(images))
    with pytest.raises(hs.BadInputError, match=r"X has 16 numbers for each example, and the learner was shown .*\[X\]"):
        inputs(np.zeros((16, 16)))


def test_without_an_example_of_its_own_a_learner_takes_what_it_was_shown() -> None:
    classifier = hs.FewShotClassifier(hs.ProtoNet(hs.Conv4(ways=3, width=4))).fit(PLAIN, [0, 1, 2])
    for other in (PLAIN.flatten(1), PLAIN[:, 0], PLAIN[..., :20]):
        with pytest.raises(hs.BadInputError, match=r"of X have shape .*; this learner takes \(1, 28, 28\)"):
            classifier.predict(other)


def test_one_picture_is_no_list_of_pictures() -> None:
    with pytest.raises(hs.BadInputError, match=r"X is one image; give a list of them, \[X\]"):
        inputs_for(small_learner(), Image.new("L", (64, 50)), "none")
