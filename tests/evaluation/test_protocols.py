"""The published harnesses against scikit-learn, with their coordinates in plain loops."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from partdisc.errors import ConfigError, DataError
from partdisc.evaluation import PROTOCOLS, inter_ocular, mean_shape_error, regression_error
from partdisc.evaluation.regressors import SINGULAR_STRENGTH, least_squares, normal_equations

EYES = (0, 1)
FIT, TEST, CHANNELS, LANDMARKS = 60, 25, 6, 4


def scene(rng, images=FIT + TEST, channels=CHANNELS):
    """Draw images of many sizes with an object of 4 landmarks; points are noisy mixtures."""
    sizes = rng.integers(150, 400, (images, 2)).astype(float)
    centre, scale = sizes * rng.uniform(0.4, 0.6, (images, 2)), rng.uniform(30, 60, images)
    shape = np.array([[-1, -1], [-1, 1], [0.5, 0], [1, 0.2]])
    marks = centre[:, None] + scale[:, None, None] * shape
    marks += rng.normal(size=marks.shape) * 3
    mixing = rng.random((channels, LANDMARKS))
    points = np.einsum("kl,nld->nkd", mixing / mixing.sum(1, keepdims=True), marks)
    points += rng.normal(size=points.shape) * 5
    boxes = np.concatenate([marks.min(1) - 5, marks.max(1) + 5], axis=1)
    return points, marks, sizes, boxes


def score(protocol, points, marks, sizes, boxes, fit=FIT, eyes=EYES):
    return regression_error(
        points[:fit],
        marks[:fit],
        points[fit:],
        marks[fit:],
        protocol=protocol,
        image_size=(sizes[:fit], sizes[fit:]),
        boxes=(boxes[:fit], boxes[fit:]),
        eyes=eyes,
    )


def frame(protocol, point, marks, size, box):
    """Map one point (y, x) of one image into the coordinates of a protocol."""
    y, x = point
    eye = np.sqrt(((marks[0] - marks[1]) ** 2).sum())
    return {
        "scops": (256 * y / size[0], 256 * x / size[1]),
        "lmdis": (y / size[0] - 0.5, x / size[1] - 0.5),
        "autolink": (y / size[0], x / size[1]),
        "imm": (y, x),
        "eye_leak": (y / eye, x / eye),
        "cub_box": ((y - box[0]) / (box[2] - box[0]), (x - box[1]) / (box[3] - box[1])),
        "cub_image": (y / size[0], x / size[1]),
    }[protocol]


def reference(protocol, points, marks, sizes, boxes):
    """Score by scikit-learn, landmark by landmark and image by image."""

    def framed(values):
        return np.array(
            [
                [frame(protocol, value, marks[n], sizes[n], boxes[n]) for value in values[n]]
                for n in range(len(values))
            ]
        )

    inputs, targets = framed(points).reshape(len(points), -1), framed(marks)
    if protocol == "scops":
        cut = [v if np.isnan(v) else int(v) for v in targets.reshape(-1)]
        targets = np.array(cut, float).reshape(targets.shape)
    last = 54 if protocol == "imm" else FIT
    intercept = protocol in ("scops", "eye_leak", "cub_box")
    errors = []
    predictions = np.empty_like(targets[FIT:])
    for landmark in range(LANDMARKS):
        rows = [n for n in range(last) if not np.isnan(marks[n, landmark, 0])]
        model = LinearRegression(fit_intercept=intercept).fit(inputs[rows], targets[rows, landmark])
        predictions[:, landmark] = model.predict(inputs[FIT:])
    for n in range(TEST):
        true = targets[FIT + n]
        if protocol in ("eye_leak", "cub_box", "cub_image"):
            length = 1.0
        else:
            length = np.sqrt(((true[0] - true[1]) ** 2).sum())
        gaps = [
            np.sqrt(((predictions[n, k] - true[k]) ** 2).sum()) / length
            for k in range(LANDMARKS)
            if not np.isnan(true[k, 0])
        ]
        errors.append(100 * np.mean(gaps))
    return np.mean(errors), predictions


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"default"}))
@pytest.mark.parametrize("hidden", [0.0, 0.2])
def test_it_is_what_scikit_learn_gives(rng, protocol, hidden):
    points, marks, sizes, boxes = scene(rng)
    marks[:, 2:][rng.random((len(marks), 2)) < hidden] = np.nan
    expected, predictions = reference(protocol, points, marks, sizes, boxes)
    got = score(protocol, points, marks, sizes, boxes)
    np.testing.assert_allclose(got.predictions, predictions, rtol=1e-6, atol=1e-6)
    assert got.error == pytest.approx(expected, rel=1e-6)
    assert got.n_fit == (54 if protocol == "imm" else FIT) and got.n_test == TEST


def test_the_default_divides_by_the_eyes_or_the_box(rng):
    points, marks, sizes, boxes = scene(rng)
    test_boxes = boxes[FIT:]
    for eyes, length in (
        (EYES, inter_ocular(marks[FIT:], *EYES)),
        (None, (test_boxes[:, 2:] - test_boxes[:, :2]).max(1)),
    ):
        given = regression_error(
            points[:FIT], marks[:FIT], points[FIT:], marks[FIT:], normaliser=length
        )
        assert score("default", points, marks, sizes, boxes, eyes=eyes).error == given.error


def test_one_image_size_stands_for_all(rng):
    points, marks, sizes, boxes = scene(rng)
    sizes[:] = (224, 272)
    split = points[:FIT], marks[:FIT], points[FIT:], marks[FIT:]
    one = regression_error(*split, protocol="lmdis", image_size=(224, 272), eyes=EYES)
    assert one.error == score("lmdis", points, marks, sizes, boxes).error


def test_scops_truncates_its_ground_truth(rng):
    points, marks, sizes, boxes = scene(rng)
    sizes[:] = 256
    base = score("scops", points, np.floor(marks), sizes, boxes)
    assert score("scops", points, np.floor(marks) + 0.9, sizes, boxes).error == base.error


def test_eye_leak_tells_the_answer(rng):
    """Points that say nothing beat the honest mean shape once the eyes divide them."""
    _, marks, sizes, boxes = scene(rng, images=400)
    marks = marks - marks.mean(1, keepdims=True) + 120  # the size is all that varies
    points = np.full((400, 3, 2), 100.0)
    honest = mean_shape_error(marks[:200], marks[200:], normaliser=inter_ocular(marks[200:]))
    leaked = score("eye_leak", points, marks, sizes, boxes, fit=200)
    fair = score("default", points, marks, sizes, boxes, fit=200)
    assert leaked.error < 0.7 * honest.error
    assert fair.error == pytest.approx(honest.error, rel=1e-6)


def test_eye_leak_on_real_faces(real_data):
    rows = (real_data / "celeba" / "list_landmarks_align_celeba.txt").read_text().splitlines()[2:]
    marks = np.array([row.split()[1:] for row in rows], float).reshape(-1, 5, 2)[..., ::-1]
    points = np.full((len(marks), 1, 2), 100.0)
    split = points[:500], marks[:500], points[500:], marks[500:]
    honest = regression_error(*split, eyes=EYES).error
    leaked = regression_error(*split, protocol="eye_leak", eyes=EYES).error
    assert 8.0 < honest < 9.5 and leaked < honest - 1


def test_an_unpenalised_fit_explodes_where_images_equal_unknowns(rng):
    """30 points with an intercept are 61 unknowns; 61 images fit them all, noise included."""
    points, marks, sizes, boxes = scene(rng, images=600, channels=30)
    errors = {
        (protocol, n): score(
            protocol, *(a[np.r_[:n, 400:600]] for a in (points, marks, sizes, boxes)), fit=n
        ).error
        for protocol in ("scops", "default")
        for n in (61, 400)
    }
    assert errors["scops", 61] > 4 * errors["scops", 400]
    assert errors["default", 61] < 1.5 * errors["default", 400]


def test_singular_normal_equations_become_a_ridge(rng):
    x, y = rng.random((5, 8)), rng.random((5, 1, 2))
    predictions, strength = normal_equations(x, y, x)
    model = Ridge(alpha=SINGULAR_STRENGTH, fit_intercept=False).fit(x, y[:, 0])
    np.testing.assert_allclose(predictions[:, 0], model.predict(x), rtol=1e-6)
    assert strength == SINGULAR_STRENGTH
    assert np.isnan(normal_equations(rng.random((9, 3)), rng.random((9, 1, 2)), x[:, :3])[1])


def test_least_squares_takes_the_smallest_of_equal_fits(rng):
    x, y = rng.random((4, 9)), rng.random((4, 2, 2))
    predictions, _ = least_squares(x, y, np.eye(9), intercept=False)
    weights = np.linalg.pinv(x) @ y.reshape(4, -1)
    np.testing.assert_allclose(predictions.reshape(9, -1), weights, atol=1e-9)
    # An input that never changes has no deviation to divide by.
    x[:, 0] = 3.0
    assert np.isfinite(least_squares(x, y, x, intercept=True, standardise=True)[0]).all()


@pytest.mark.parametrize(
    "protocol,missing,named",
    [
        ("scops", "image_size", "image_size"),
        ("lmdis", "eyes", "eyes"),
        ("eye_leak", "eyes", "eyes"),
        ("cub_box", "boxes", "boxes"),
        ("imm", "eyes", "eyes"),
        ("cub_image", "image_size", "image_size"),
    ],
)
def test_what_a_protocol_lacks_is_named(rng, protocol, missing, named):
    points, marks, sizes, boxes = scene(rng)
    arguments = {
        "image_size": (sizes[:FIT], sizes[FIT:]),
        "boxes": (boxes[:FIT], boxes[FIT:]),
        "eyes": EYES,
    }
    del arguments[missing]
    split = points[:FIT], marks[:FIT], points[FIT:], marks[FIT:]
    with pytest.raises(ConfigError, match=f"{named}: protocol '{protocol}' needs it"):
        regression_error(*split, protocol=protocol, **arguments)
    with pytest.raises(ConfigError, match="normaliser: protocol 'default' needs it"):
        regression_error(*split)
    with pytest.raises(ConfigError, match="normaliser: protocol 'imm' has its own"):
        regression_error(*split, protocol="imm", eyes=EYES, normaliser=np.ones(TEST))


def test_unusable_images_are_left_out(rng):
    points, marks, sizes, boxes = scene(rng)
    boxes[FIT, 2:] = boxes[FIT, :2]  # an empty box
    boxes[0, 2:] = boxes[0, :2]
    got = score("cub_box", points, marks, sizes, boxes)
    assert (got.n_fit, got.n_test, got.n_left_out) == (FIT - 1, TEST - 1, 1)
    marks[FIT + 1, 1] = np.nan  # an eye that is not seen
    assert score("eye_leak", points, marks, sizes, boxes).n_left_out == 1
    with pytest.raises(DataError, match="fit images: none of 60"):
        score("cub_box", points, marks, sizes, boxes * 0)
