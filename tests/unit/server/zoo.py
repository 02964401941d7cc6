"""Models of the kinds that are answered more quickly than scikit-learn does, and what they answer.

As a program it writes what scikit-learn itself answers: `python -m unit.server.zoo FILE.npz`.
"""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

METHODS = ("predict", "predict_proba", "decision_function", "transform")
Matrix = NDArray[np.float64]


TREES: dict[str, Any] = {"n_estimators": 12, "random_state": 0}


def data() -> tuple[Matrix, Matrix]:
    """Return rows of five features to fit and others to answer, 1001 of them."""
    dice = np.random.default_rng(7)
    return dice.normal(size=(300, 5)), dice.normal(size=(1001, 5))


def _classifiers() -> tuple[Any, ...]:
    return (
        RandomForestClassifier(**TREES),
        RandomForestClassifier(**TREES, class_weight="balanced", n_jobs=2),
        ExtraTreesClassifier(**TREES),
        LogisticRegression(),
        LogisticRegression(fit_intercept=False, C=0.1),
        RidgeClassifier(),
        SGDClassifier(random_state=0),
        Perceptron(random_state=0),
        LinearSVC(random_state=0),
        LinearDiscriminantAnalysis(),
    )


def _holders() -> tuple[Any, ...]:
    return (
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(with_mean=False), RandomForestClassifier(**TREES)),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
        CalibratedClassifierCV(RandomForestClassifier(**TREES), cv=2),
        OneVsRestClassifier(LogisticRegression()),
        VotingClassifier([("f", RandomForestClassifier(**TREES)), ("l", LogisticRegression())]),
    )


def zoo() -> Iterator[tuple[str, Any]]:
    """Yield fitted models by name."""
    rows, _ = data()
    two = (rows[:, 0] + rows[:, 1] > 0).astype(int)
    three = np.array(["a", "b", "c"])[two + (rows[:, 2] > 1)]
    value = rows @ np.arange(5) + 3
    pair = np.column_stack([value, rows[:, 0]])
    for model in (*_classifiers(), *_holders()):
        yield f"two {model}", clone(model).fit(rows, two)
        yield f"three {model}", clone(model).fit(rows, three)
    for model in _classifiers():
        yield f"bools {model}", model.fit(rows, two == 1)
    for target, values in (("value", value), ("pair", pair)):
        for model in (
            RandomForestRegressor(**TREES),
            ExtraTreesRegressor(**TREES),
            LinearRegression(),
            LinearRegression(fit_intercept=False),
            Ridge(),
            Lasso(0.01),
            make_pipeline(StandardScaler(with_std=False), Ridge()),
        ):
            yield f"{target} {model}", model.fit(rows, values)
    yield "labels of two kinds", RandomForestClassifier(**TREES).fit(rows, pair > 0)
    yield "scaled", StandardScaler().fit(rows)


def answers() -> dict[str, Matrix]:
    """Return what each method of each model answers to one row, to three and to many."""
    warnings.simplefilter("ignore")
    _, asked = data()
    found = {}
    for name, model in zoo():
        for method in METHODS:
            if hasattr(model, method):
                for number in (1, 3, len(asked)):
                    told = getattr(model, method)(asked[:number])
                    found[f"{name} {method} {number}"] = np.asarray(told)
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], allow_pickle=False, **answers())
