"""``hs.FewShotClassifier``: scikit-learn's own checks, any classes and shots, and what is refused."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import headstart as hs
from estimators.learners import drawings, nearest_mean, saved, small_learner
from headstart.estimators import classes as core
from headstart.evaluation.calibration import Calibration
from headstart.evaluation.confidence import Confidence
from headstart.evaluation.expected_score import ExpectedScore, ScoreModel, ScoreModels, support_signs
from headstart.experiments.methods import METHODS
from headstart.learners.heads import AnyWays

NO_IMAGES = "its examples have 2, 3 or 5 features, which are no square image"
CANNOT_PASS = {
    "check_classifier_data_not_an_array": "its examples are of a class of its own with 3 features, no image",
    **dict.fromkeys(
        [
            "check_classifiers_classes",
            "check_classifiers_train",
            "check_dict_unchanged",
            "check_dont_overwrite_parameters",
            "check_dtype_object",
            "check_estimators_dtypes",
            "check_estimators_fit_returns_self",
            "check_estimators_nan_inf",
            "check_estimators_overwrite_params",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_fit2d_predict1d",
            "check_fit_check_is_fitted",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_n_features_in",
            "check_pipeline_consistency",
            "check_readonly_memmap_input",
            "check_supervised_y_2d",
        ],
        NO_IMAGES,
    ),
}
"""The checks of scikit-learn's that a learner of images cannot pass, and why."""
NOT_HERE = {"check_array_api_input", "check_classifier_data_not_an_array"}
"""Skipped by scikit-learn, since array_api is not set and pandas not installed."""


def outcomes(estimator: Any, cannot: dict[str, str]) -> dict[str, set[str]]:
    """The names of scikit-learn's checks, by how they ended."""
    found: dict[str, set[str]] = {}
    for check in check_estimator(estimator, expected_failed_checks=cannot, on_skip=None, on_fail=None):
        found.setdefault(check["status"], set()).add(check["check_name"])
    return found


def test_scikit_learn_s_checks_pass_for_vectors_of_any_width() -> None:
    found = outcomes(hs.FewShotClassifier(nearest_mean()), {})
    assert found.keys() <= {"passed", "skipped"}, found
    assert found["skipped"] <= NOT_HERE
    assert len(found["passed"]) > 45


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # check_dtype_object casts what is no number
def test_of_the_default_those_fail_that_cannot_pass_and_no_others() -> None:
    found = outcomes(hs.FewShotClassifier(), CANNOT_PASS)
    assert "failed" not in found, found["failed"]
    assert found["xfail"] == CANNOT_PASS.keys()
    assert not found["passed"] & CANNOT_PASS.keys()


def scores_by_hand(learner: hs.Learner, shown: np.ndarray, y: np.ndarray, queries: np.ndarray) -> torch.Tensor:
    support = hs.Examples(as_inputs(shown), torch.from_numpy(np.unique(y, return_inverse=True)[1]))
    return learner.fit(support)(as_inputs(queries)).double()


def as_inputs(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images / 255).float()[:, None]


@pytest.mark.parametrize("labels", [["b", "a", "c"], [19, 10, 14], ["ü [red]", "\n", ""], [True, False, True]])
def test_any_labels_unequally_many_of_each(labels: list[Any]) -> None:
    images, kinds = drawings(each=4)
    chosen = np.array([0, 1, 2, 3, 4, 5, 8])
    y = [labels[kind] for kind in kinds[chosen]]
    classifier = hs.FewShotClassifier(small_learner(), prepare="none").fit(images[chosen], y)
    assert classifier.classes_.tolist() == sorted({*labels})
    assert classifier.adapted_.shots.tolist() == [y.count(label) for label in classifier.classes_.tolist()]
    expected = scores_by_hand(small_learner(), images[chosen], np.array(y), images)
    np.testing.assert_allclose(classifier.predict_proba(images), expected.softmax(1), atol=1e-6)
    assert classifier.predict(images).tolist() == classifier.classes_[expected.argmax(1)].tolist()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "cavia"])
def test_as_many_classes_as_the_head_can_tell_and_no_more(method: str) -> None:
    learner = small_learner(method)
    few, many = drawings(kinds=3, each=2), drawings(kinds=6, each=2)
    assert hs.FewShotClassifier(learner).fit(*few).predict_proba(few[0]).shape == (6, 3)
    if isinstance(learner, AnyWays):
        assert hs.FewShotClassifier(learner).fit(*many).predict_proba(few[0]).shape == (6, 6)
    else:
        with pytest.raises(hs.BadInputError, match=r"6 classes are more than the 5 .* --ways 6"):
            hs.FewShotClassifier(learner).fit(*many)


def test_the_learner_of_the_package_knows_drawings_that_it_has_not_seen() -> None:
    support, queries = drawings(kinds=4, each=2, size=64), drawings(kinds=4, each=10, size=40, seed=1)
    classifier = hs.FewShotClassifier("glyphs").fit(255 - support[0], support[1])
    assert classifier.score(*queries) > 0.9


def test_one_query_at_a_time_gives_what_many_give() -> None:
    images, kinds = drawings()
    classifier = hs.FewShotClassifier(small_learner("maml")).fit(images, kinds)
    alone = np.concatenate([classifier.predict_proba(image[None]) for image in images])
    np.testing.assert_allclose(alone, classifier.predict_proba(images), atol=1e-6)


def test_inner_steps_are_those_asked_for_and_otherwise_the_learner_s(tmp_path: Path) -> None:
    images, kinds = drawings()
    path, support = saved(tmp_path, "maml"), hs.Examples(as_inputs(images), torch.from_numpy(kinds))
    for steps in (None, 7):
        classifier = hs.FewShotClassifier(path, prepare="none", inner_steps=steps).fit(images, kinds)
        expected = hs.load(path).fit(support, steps)(as_inputs(images)).double().softmax(1)
        np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    with pytest.raises(hs.BadInputError, match="inner_steps=-1 must be"):
        hs.FewShotClassifier(path, inner_steps=-1).fit(images, kinds)


def test_scores_are_averaged_over_orders_of_the_classes() -> None:
    images, kinds = drawings(each=2)
    learner = small_learner("maml", inner_lr=0.1)
    classifier = hs.FewShotClassifier(learner, prepare="none", permutations=3, random_state=4).fit(images, kinds)
    orders = [fit.order for fit in classifier.adapted_.fits]
    assert orders[0].tolist() == [0, 1, 2] and len({tuple(order.tolist()) for order in orders}) == 3
    by_hand = torch.stack(
        [
            learner.fit(hs.Examples(as_inputs(images), order[torch.from_numpy(kinds)]))(as_inputs(images))[:, order]
            for order in orders
        ]
    )
    np.testing.assert_allclose(classifier.predict_proba(images), by_hand.double().mean(0).softmax(1), atol=1e-6)
    again = clone(classifier).fit(images, kinds)
    assert np.array_equal(again.predict_proba(images), classifier.predict_proba(images))
    other = clone(classifier).set_params(random_state=5).fit(images, kinds)
    assert not np.array_equal(other.predict_proba(images), classifier.predict_proba(images))


def test_a_head_that_is_made_for_the_task_gives_the_same_in_every_order() -> None:
    images, kinds = drawings(each=2)
    one, five = (hs.FewShotClassifier(small_learner(), permutations=n).fit(images, kinds) for n in (1, 5))
    np.testing.assert_allclose(one.predict_proba(images), five.predict_proba(images), atol=1e-5)


def test_copies_of_the_support_set_are_moved_a_little_and_not_counted() -> None:
    from headstart.estimators.fits import augmented

    images, kinds = drawings(each=2)
    support = hs.Examples(as_inputs(images), torch.from_numpy(kinds))
    shown = augmented(support, 4, torch.Generator().manual_seed(0))
    assert torch.equal(shown.inputs[:6], support.inputs) and torch.equal(shown.targets, support.targets.repeat(5))
    copies = shown.inputs[6:].view(4, 6, 1, 28, 28)
    distances = (copies[:, :, None] - support.inputs).abs().mean((3, 4, 5))  # [copy, example, other example]
    assert float(distances.min()) > 0, "none is what it was"
    assert torch.equal(support.targets[distances.argmin(2)], support.targets.expand(4, 6)), "but it looks like it"
    classifiers = [
        hs.FewShotClassifier(small_learner(), augmentations=4, random_state=0).fit(images, kinds) for _ in range(2)
    ]
    assert classifiers[0].adapted_.shots.tolist() == [2, 2, 2]
    assert np.array_equal(*(classifier.predict_proba(images) for classifier in classifiers))
    with pytest.raises(hs.BadInputError, match="augmentations=2 are of images"):
        hs.FewShotClassifier(nearest_mean(), augmentations=2).fit(np.eye(4), [0, 1, 0, 1])


def test_it_is_cloned_searched_and_put_in_pipelines() -> None:
    images, kinds = drawings(each=6)
    classifier = hs.FewShotClassifier(small_learner(), prepare="none")
    assert clone(classifier).get_params()["prepare"] == "none"
    assert "learner" in classifier.set_params(inner_steps=2).get_params()
    assert cross_val_score(classifier, images, kinds, cv=3).mean() > 0.9
    assert cross_val_score(classifier, list(images), kinds, cv=3).mean() > 0.9
    inverted = make_pipeline(FunctionTransformer(np.invert), classifier).fit(images, kinds)
    assert np.array_equal(inverted.predict(images), clone(classifier).fit(~images, kinds).predict(~images))
    rows = np.random.default_rng(0).normal(size=(12, 3)) + 9 * np.arange(2).repeat(6)[:, None]
    assert make_pipeline(StandardScaler(), hs.FewShotClassifier(nearest_mean())).fit(rows, [0] * 6 + [1] * 6)


def test_its_pickle_holds_arrays_and_needs_no_file(tmp_path: Path) -> None:
    images, kinds = drawings()
    path = saved(tmp_path, "maml")
    classifier = hs.FewShotClassifier(str(path), permutations=2, random_state=0).fit(images, kinds)
    content = pickle.dumps(classifier)
    words = [argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)]
    assert not [word for word in words if word.startswith("torch")]
    path.unlink()
    assert np.array_equal(pickle.loads(content).predict_proba(images), classifier.predict_proba(images))


def test_one_that_was_built_in_python_is_pickled_with_it() -> None:
    rows = np.random.default_rng(0).normal(size=(8, 3))
    classifier = hs.FewShotClassifier(nearest_mean()).fit(rows, [0, 1] * 4)
    with pytest.raises(hs.BadInputError, match="no image"):
        classifier.set_params(learner="glyphs").fit(rows, [0, 1] * 4)
    again = pickle.loads(pickle.dumps(classifier))
    assert np.array_equal(again.predict_proba(rows), classifier.predict_proba(rows))


class Doubtful:
    """A calibration that halves scores, and finds plausible what is more than 60 % probable."""

    @property
    def confidence(self) -> Doubtful:
        return self

    @property
    def scores(self) -> Doubtful:
        return self

    def probabilities(self, scores: torch.Tensor, shots: torch.Tensor) -> torch.Tensor:
        assert shots.shape == scores.shape[1:]
        return (scores / 2).softmax(1)

    def plausibility(self, scores: torch.Tensor, shots: torch.Tensor) -> torch.Tensor:
        return (self.probabilities(scores, shots).amax(1) > 0.6).double()

    def expected_score(self, learner: hs.Learner, support: hs.Examples) -> ExpectedScore:
        return ExpectedScore(len(support.targets) / 100, 0.0, learner.inner_steps / 100)

    def record(self) -> dict[str, Any]:
        return {"halves": True}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Doubtful:
        assert record == {"halves": True}
        return cls()


@pytest.fixture
def calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner that has a calibration."""
    monkeypatch.setattr(core, "Calibration", Doubtful)
    return saved(tmp_path, "maml", calibration={"halves": True})


@pytest.mark.parametrize(("labels", "none"), [(["a", "bb", "c"], "none"), ([10, 11, 19], -1)])
def test_with_a_calibration_it_says_how_sure_and_none_of_these(calibrated: Path, labels: Any, none: Any) -> None:
    images, kinds = drawings()
    images[-1] = np.random.default_rng(0).integers(0, 256, (28, 28))
    y = np.array(labels)[kinds]
    classifier = hs.FewShotClassifier(calibrated, prepare="none", inner_steps=3).fit(images[:9], y[:9])
    expected = (scores_by_hand(hs.load(calibrated), images[:9], y[:9], images) / 2).softmax(1)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    plausible = (expected.amax(1) > 0.6).numpy()
    assert 0 < plausible.sum() < len(plausible)
    said = np.where(plausible, classifier.predict(images), none).tolist()
    assert classifier.predict(images, reject=0.95).tolist() == said
    again = pickle.loads(pickle.dumps(classifier))
    assert again.predict(images, reject=0.95).tolist() == said
    assert classifier.expected_score() == again.expected_score() == ExpectedScore(0.09, 0.0, 0.03)


def test_a_calibration_of_the_library_takes_its_scores(tmp_path: Path) -> None:
    images, kinds = drawings(each=2)
    support = hs.Examples(as_inputs(images), torch.from_numpy(kinds))
    doubled = Confidence((float(np.log(2)), 0.0, 0.0), (0.0,) * 3, (0.0,) * 3, (-1e9, 1e9))
    even = ScoreModel((0.0,) * len(support_signs(small_learner(), support)), (0.0, 0.0), 0.0, 0.0)
    path = saved(tmp_path, calibration=Calibration(doubled, ScoreModels(even, even, even)).record())
    classifier = hs.FewShotClassifier(path, prepare="none").fit(images, kinds)
    expected = (scores_by_hand(small_learner(), images, kinds, images) / 2).softmax(1)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)
    assert np.array_equal(classifier.predict(images, reject=0.95), classifier.predict(images))
    assert set(classifier.predict(images, reject=0.05).tolist()) == {-1}
    assert classifier.expected_score().value == 0.5


def test_a_loaded_learner_has_the_calibration_that_its_file_has(calibrated: Path) -> None:
    images, kinds = drawings()
    learner = hs.load(calibrated)
    by_path, by_object = (hs.FewShotClassifier(source).fit(images, kinds) for source in (calibrated, learner))
    assert np.array_equal(by_object.predict_proba(images), by_path.predict_proba(images))
    assert by_object.expected_score() == by_path.expected_score()
    assert clone(by_object).fit(images, kinds).expected_score() == by_path.expected_score()


def test_a_learner_that_was_trained_on_has_its_calibration_no_more(calibrated: Path) -> None:
    images, kinds = drawings()
    learner = hs.load(calibrated)
    with torch.no_grad():
        next(iter(learner.meta_params.values())).add_(1)
    with pytest.raises(hs.BadInputError, match="has no calibration"):
        hs.FewShotClassifier(learner).fit(images, kinds).expected_score()


def test_without_a_calibration_it_says_neither() -> None:
    images, kinds = drawings()
    classifier = hs.FewShotClassifier(small_learner()).fit(images, kinds)
    for ask in (classifier.expected_score, lambda: classifier.predict(images, reject=0.9)):
        with pytest.raises(hs.BadInputError, match=r"has no calibration .*headstart models.*headstart calibrate RUN"):
            ask()


@pytest.mark.parametrize("other", [{"inner_steps": 4}, {"permutations": 2}, {"augmentations": 1}])
def test_a_calibration_is_of_the_learner_s_own_settings_alone(
    other: dict[str, int], calibrated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, kinds = drawings()
    hs.FewShotClassifier(calibrated, inner_steps=3).fit(images, kinds).expected_score()
    assert "how sure to be" not in caplog.text
    classifier = hs.FewShotClassifier(calibrated, **other).fit(images, kinds)
    assert "how sure to be is not known for" in caplog.text
    scores = classifier.adapted_.outputs(images)
    np.testing.assert_allclose(classifier.predict_proba(images), scores.softmax(1))
    with pytest.raises(hs.BadInputError, match="no calibration of how it was adapted"):
        classifier.expected_score()


def test_what_rejecting_cannot_mean_is_refused(calibrated: Path) -> None:
    images, kinds = drawings()
    classifier = hs.FewShotClassifier(calibrated).fit(images, kinds - 1)
    with pytest.raises(hs.BadInputError, match="a class is called -1"):
        classifier.predict(images, reject=0.9)
    with pytest.raises(hs.BadInputError, match=r"reject=95 must lie between 0 and 0\.99"):
        classifier.predict(images, reject=95)
    named = hs.FewShotClassifier(calibrated).fit(images, np.array(["none", "a", "b"])[kinds])
    with pytest.raises(hs.BadInputError, match="a class is called 'none'"):
        named.predict(images, reject=0.9)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([0, 1, 0], "X has 4 examples, and y labels of shape .3"),
        ([0, 0, 0, 0], "y has 1 class; show examples of two"),
        ([0, 1, None, 1], "y has no label for example 2"),
        ([0, 1, 1, np.nan], "y has no label for example 3"),
        ([0.1, 0.2, 0.5, 0.7], "Unknown label type"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(y: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        hs.FewShotClassifier(small_learner()).fit(drawings(each=2)[0][:4], y)


def test_a_query_of_another_shape_is_refused() -> None:
    vectors = hs.FewShotClassifier(nearest_mean()).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="X has 3 features, but FewShotClassifier is expecting 4"):
        vectors.predict(np.zeros((2, 3)))
    images, kinds = drawings(size=8)
    flat = hs.FewShotClassifier(small_learner()).fit(images.reshape(-1, 64), kinds)
    with pytest.raises(ValueError, match="X has 81 features, but FewShotClassifier is expecting 64"):
        flat.predict(np.zeros((2, 81)))
    flat.fit(images, kinds)  # which may be queried with images of any size, and rows of as many pixels
    assert flat.predict(np.zeros((2, 9, 9))).shape == flat.predict(np.zeros((2, 64))).shape == (2,)
    with pytest.raises(hs.BadInputError, match=r"X has 81 numbers for each example, and .* of shape \(8, 8\)"):
        flat.predict(np.zeros((2, 81)))
    with pytest.raises(hs.BadInputError, match="no image"):
        flat.predict(np.zeros((2, 5, 5, 5)))
    own = hs.FewShotClassifier(hs.ProtoNet(hs.Conv4(ways=5, width=4)))
    with pytest.raises(hs.BadInputError, match=r"the learner cannot take examples of shape \(7,\)"):
        own.fit(np.zeros((4, 7)), [0, 1, 0, 1])


def test_prepare_and_counts_that_are_unknown_are_refused() -> None:
    images, kinds = drawings()
    for values, sentence in (
        ({"permutations": 0}, "permutations=0 must be 1 or more"),
        ({"augmentations": -1}, "augmentations=-1 must be 0 or more"),
        ({"prepare": "thin"}, "prepare='thin' is unknown"),
        ({"learner": "no such"}, "'no such' is no learner"),
    ):
        with pytest.raises(hs.BadInputError, match=sentence):
            hs.FewShotClassifier(**{"learner": small_learner(), **values}).fit(images, kinds)
