"""Linear regressors from points to landmarks, in plain NumPy and float64."""

import numpy as np

# Relative to the total variance of the inputs, so that neither the scale of the pixels
# nor the number of images or channels shifts the grid. Strongest first: ties go to it.
STRENGTHS = np.logspace(2, -6, 17)
# Inputs are divided by so much a power of their deviations. Where objects stand all alike, an
# input that moves much is noise; where they do not, it is what tells them apart.
POWERS = (0, 1, 2)
# Of the root of their mean square: no deviation counts as smaller. An input that hardly moved in
# the fit images says nothing of what it means when it does.
LEAST_DEVIATION = 0.1
# Added to the diagonal of singular normal equations.
SINGULAR_STRENGTH = 0.01


def ridge(
    inputs: np.ndarray, landmarks: np.ndarray, test_inputs: np.ndarray
) -> tuple[np.ndarray, float]:
    """Predict landmarks by ridge with an intercept.

    One strength and one weighting of the inputs for all landmarks, by leave-one-out
    cross-validation of the mean distance. It is exact, but for the deviations of the inputs,
    which are those of all fit images.

    Args:
        inputs: [Nf, D] inputs of the fit images, finite.
        landmarks: [Nf, L, 2] their landmarks; NaN where invisible.
        test_inputs: [Nt, D] inputs of the test images, finite.

    Returns:
        Predictions [Nt, L, 2], NaN for a landmark that no fit image shows; the strength,
        relative to the variance of the weighted inputs.
    """
    losses = np.zeros((len(POWERS), len(STRENGTHS)))
    shape = (*losses.shape, len(test_inputs), landmarks.shape[1], 2)
    predictions = np.full(shape, np.nan)
    for x, y, members in _by_visibility(inputs, landmarks):
        x_mean, y_mean, spreads = x.mean(0), y.mean(0), _spreads(x)
        for number, power in enumerate(POWERS):
            scale = spreads**-power
            centred = (x - x_mean) * scale
            eigenvalues, u = _left_singular(centred)
            scores = u.T @ (y - y_mean)
            damped = eigenvalues + STRENGTHS[:, None] * eigenvalues.sum()
            alike = (test_inputs - x_mean) * scale @ (centred.T @ u)
            predicted = alike @ (scores / damped[..., None]) + y_mean
            predictions[number][:, :, members] = predicted.reshape(
                len(STRENGTHS), len(test_inputs), len(members), 2
            )
            if len(x) > 1:
                losses[number] += _left_out_distances(eigenvalues / damped, u, scores, y - y_mean)
    weighting, strength = np.unravel_index(losses.argmin(), losses.shape)
    return predictions[weighting, strength], float(STRENGTHS[strength])


def least_squares(
    inputs: np.ndarray,
    landmarks: np.ndarray,
    test_inputs: np.ndarray,
    *,
    intercept: bool,
    standardise: bool = False,
) -> tuple[np.ndarray, float]:
    """Predict landmarks by least squares without any penalty; of equals, the smallest.

    It explodes where there are about as many fit images as inputs.

    Args:
        inputs: as of `ridge`.
        landmarks: likewise.
        test_inputs: likewise.
        intercept: whether means are subtracted first.
        standardise: whether inputs and landmarks are divided by their deviations.

    Returns:
        As `ridge`, without a strength (NaN).
    """
    predictions = np.full((len(test_inputs), landmarks.shape[1], 2), np.nan)
    for x, y, members in _by_visibility(inputs, landmarks):
        x_mean, y_mean = (a.mean(0) if intercept else 0.0 for a in (x, y))
        x_scale, y_scale = (_deviations(a) if standardise else 1.0 for a in (x, y))
        weights = np.linalg.lstsq((x - x_mean) / x_scale, (y - y_mean) / y_scale, rcond=None)[0]
        predicted = ((test_inputs - x_mean) / x_scale) @ weights * y_scale + y_mean
        predictions[:, members] = predicted.reshape(len(test_inputs), len(members), 2)
    return predictions, np.nan


def normal_equations(
    inputs: np.ndarray, landmarks: np.ndarray, test_inputs: np.ndarray
) -> tuple[np.ndarray, float]:
    """Predict landmarks by normal equations without an intercept, as AutoLink does.

    Args:
        inputs: as of `ridge`.
        landmarks: likewise.
        test_inputs: likewise.

    Returns:
        As `ridge`; the strength is NaN, or where the equations are singular what is
        added to their diagonal.
    """
    predictions = np.full((len(test_inputs), landmarks.shape[1], 2), np.nan)
    strength = np.nan
    for x, y, members in _by_visibility(inputs, landmarks):
        gram = x.T @ x
        if np.linalg.matrix_rank(gram, hermitian=True) < len(gram):
            strength = SINGULAR_STRENGTH
            gram = gram + strength * np.eye(len(gram))
        predicted = test_inputs @ np.linalg.solve(gram, x.T @ y)
        predictions[:, members] = predicted.reshape(len(test_inputs), len(members), 2)
    return predictions, strength


def _by_visibility(inputs, landmarks):
    """Yield inputs [n, D], landmarks [n, 2 m] and the indices [m] of landmarks fitted together.

    Landmarks that are visible in the same images share one factorisation.
    """
    visible = np.isfinite(landmarks).all(-1)
    patterns, group = np.unique(visible, axis=1, return_inverse=True)
    for index, rows in enumerate(patterns.T):
        if rows.any():
            members = np.flatnonzero(group.reshape(-1) == index)
            x = inputs[rows]
            yield x, landmarks[rows][:, members].reshape(len(x), -1), members


def _deviations(values: np.ndarray) -> np.ndarray:
    deviation = values.std(0)
    return np.where(deviation > 0, deviation, 1.0)


def _spreads(values: np.ndarray) -> np.ndarray:
    """Return the deviations of inputs, none of them negligible beside the others."""
    deviation = values.std(0)
    typical = np.sqrt(np.square(deviation).sum() / max(deviation.size, 1))
    if not typical > 1e-9 * np.abs(values).max(initial=0.0):
        return np.ones_like(deviation)
    return np.maximum(deviation, LEAST_DEVIATION * typical)


def _left_out_distances(
    shrink: np.ndarray, u: np.ndarray, scores: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Sum the distances [S] at which images are predicted by fits that leave them out.

    The residual of a left-out image is its residual in the full fit divided by
    1 - leverage: exact for ridge with an unpenalised intercept.
    """
    residuals = y - u @ (shrink[..., None] * scores)
    leverage = 1 / len(y) + shrink @ np.square(u).T
    left_out = (residuals / (1 - leverage)[..., None]).reshape(len(shrink), -1, 2)
    return np.hypot(left_out[..., 0], left_out[..., 1]).sum(1)


def _left_singular(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return squared singular values [R] and left singular vectors [n, R] of x [n, d].

    The eigenvectors of the smaller Gram matrix cost a fraction of an SVD. What they
    lose, the directions below 1e-12 of the variance, the weakest ridge shrinks anyway.
    """
    wide = len(x) <= x.shape[1]
    gram = x @ x.T if wide else x.T @ x
    eigenvalues, vectors = np.linalg.eigh(gram)
    keep = eigenvalues > 1e-12 * np.trace(gram)
    eigenvalues, vectors = eigenvalues[keep], vectors[:, keep]
    return eigenvalues, vectors if wide else x @ vectors / np.sqrt(eigenvalues)
