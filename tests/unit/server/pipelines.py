"""Models as people make them of frames and arrays, to be compared with scikit-learn's answers."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.semi_supervised import SelfTrainingClassifier

ROWS = 120
_RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": _RANDOM.normal(40, 10, ROWS),
        "town": _RANDOM.choice(["Ulm", "Bonn", "Kiel"], ROWS),
        "rooms": _RANDOM.integers(0, 5, ROWS),
        "flag": _RANDOM.random(ROWS) > 0.5,
        "text": _RANDOM.choice(["good and nice", "bad and ugly", "so so"], ROWS),
    }
)
GAPS = FRAME.assign(
    age=FRAME["age"].where(_RANDOM.random(ROWS) > 0.2),
    town=FRAME["town"].where(_RANDOM.random(ROWS) > 0.2),
)
NONES = GAPS.assign(
    town=pd.Series([town if isinstance(town, str) else None for town in GAPS["town"]], dtype=object)
)
CATEGORIES = GAPS[["age", "town", "rooms"]].astype({"town": "category"})
NUMBERS, NUMBERS_WITH_GAPS = FRAME[["age", "rooms"]], GAPS[["age", "rooms"]]
ARRAY = GAPS[["age", "town", "rooms"]].astype(object).to_numpy()
TEXTS = NONES[["town", "text"]].astype(object).to_numpy()
BITS = ((FRAME["age"] > 40) ^ (FRAME["town"] == "Ulm")).to_numpy().astype(int)
WORDS = np.where(BITS, "yes", "no")
AMOUNTS = FRAME["age"].to_numpy() + 10 * BITS
PAIRS = np.column_stack([BITS, FRAME["flag"]]).astype(int)

one_hot = OneHotEncoder(handle_unknown="ignore")
ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
linear = LogisticRegression()
boosted = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3)
numbers_filled = make_pipeline(SimpleImputer(), StandardScaler())
texts_filled = make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot)


def columns(*parts: tuple[Any, Any], rest: Any = "drop") -> ColumnTransformer:
    """Return a transformer of columns."""
    named = [(str(at), step, chosen) for at, (step, chosen) in enumerate(parts)]
    return ColumnTransformer(named, remainder=rest)


plain = columns((one_hot, ["town"]), (StandardScaler(), ["age", "rooms"]))
filled = columns((texts_filled, ["town"]), (numbers_filled, ["age", "rooms"]))
classifier, filling = make_pipeline(plain, linear), make_pipeline(filled, linear)
regressor = make_pipeline(plain, Ridge())

MODELS: dict[str, tuple[Any, Any, Any]] = {
    "a vote": (VotingClassifier([("a", classifier), ("b", filling)], voting="soft"), FRAME, WORDS),
    "a hard vote": (VotingClassifier([("a", classifier), ("b", "drop")]), FRAME, BITS),
    "a vote of other columns": (
        VotingClassifier(
            [("a", filling), ("b", make_pipeline(columns(("passthrough", ["age"])), boosted))]
        ),
        GAPS,
        BITS,
    ),
    "a stack": (StackingClassifier([("a", classifier)], cv=2), FRAME, WORDS),
    "calibration": (CalibratedClassifierCV(filling, cv=2), GAPS, WORDS),
    "a search": (GridSearchCV(filling, {"logisticregression__C": [1.0]}, cv=2), GAPS, BITS),
    "a threshold": (TunedThresholdClassifierCV(classifier, cv=2), FRAME, BITS),
    "one against the rest": (OneVsRestClassifier(classifier), FRAME, FRAME["rooms"].to_numpy()),
    "self-training": (SelfTrainingClassifier(linear), NUMBERS, np.where(FRAME["flag"], BITS, -1)),
    "several classes": (MultiOutputClassifier(classifier), FRAME, PAIRS),
    "several numbers": (MultiOutputRegressor(regressor), FRAME, PAIRS * 1.5),
    "a chain": (ClassifierChain(linear), NUMBERS, PAIRS),
    "a transformed target": (
        TransformedTargetRegressor(regressor, func=np.log1p, inverse_func=np.expm1),
        FRAME,
        AMOUNTS,
    ),
    "bagging": (BaggingClassifier(linear, 3), NUMBERS, BITS),
    "bagging by position": (
        BaggingClassifier(
            make_pipeline(columns((one_hot, [1]), (StandardScaler(), [0, 2])), linear),
            3,
            random_state=0,
        ),
        FRAME[["age", "town", "rooms"]],
        BITS,
    ),
    "boosting": (AdaBoostClassifier(n_estimators=3), FRAME[["age", "rooms", "flag"]], WORDS),
    "categories": (boosted, CATEGORIES, WORDS),
    "categories by name": (
        HistGradientBoostingRegressor(max_iter=5, categorical_features=["town"]),
        GAPS[["age", "town"]],
        AMOUNTS,
    ),
    "categories of numbers": (
        HistGradientBoostingClassifier(max_iter=5, categorical_features=["rooms"]),
        NUMBERS_WITH_GAPS,
        BITS,
    ),
    "columns by type": (
        make_pipeline(
            columns(
                (one_hot, make_column_selector(dtype_exclude=[np.number, bool])),
                (StandardScaler(), make_column_selector(dtype_include=np.number)),
            ),
            linear,
        ),
        FRAME,
        BITS,
    ),
    "columns by slices": (
        make_pipeline(
            columns((one_hot, slice("town", "town")), (StandardScaler(), slice("rooms", None))),
            linear,
        ),
        FRAME[["age", "town", "rooms", "flag"]],
        BITS,
    ),
    "columns from the end": (
        make_pipeline(columns((one_hot, [-1]), (StandardScaler(), [-3])), linear),
        FRAME[["age", "rooms", "town"]],
        BITS,
    ),
    "the rest passes": (
        make_pipeline(columns((one_hot, ["town", "text"]), rest="passthrough"), boosted),
        GAPS,
        BITS,
    ),
    "the rest is scaled": (
        make_pipeline(columns((one_hot, ["town", "text"]), rest=StandardScaler()), linear),
        FRAME,
        BITS,
    ),
    "within": (
        make_pipeline(
            columns((columns((one_hot, ["town"]), rest="drop"), ["age", "town"])), linear
        ),
        FRAME,
        BITS,
    ),
    "unions": (make_pipeline(make_union(plain, columns((one_hot, ["text"]))), linear), FRAME, BITS),
    "a function first": (make_pipeline(FunctionTransformer(), filled, linear), GAPS, BITS),
    "a function before an encoder": (
        make_pipeline(
            columns(
                (make_pipeline(FunctionTransformer(), one_hot), ["town"]),
                (StandardScaler(), ["age"]),
            ),
            linear,
        ),
        FRAME,
        BITS,
    ),
    "bins": (
        make_pipeline(columns((KBinsDiscretizer(3), ["age"]), (ordinal, ["town"])), linear),
        FRAME,
        WORDS,
    ),
    "target encoding": (
        make_pipeline(columns((TargetEncoder(), ["town"]), (SimpleImputer(), ["age"])), linear),
        GAPS,
        BITS,
    ),
    "missing has a number": (
        make_pipeline(
            columns(
                (OrdinalEncoder(encoded_missing_value=-2), ["town"]), (SimpleImputer(), ["age"])
            ),
            linear,
        ),
        GAPS,
        BITS,
    ),
    "missing stays": (
        make_pipeline(columns((ordinal, ["town"]), rest="drop"), boosted),
        GAPS,
        BITS,
    ),
    "missing is None": (
        make_pipeline(columns((one_hot, ["town"]), (SimpleImputer(), ["age"])), linear),
        NONES,
        BITS,
    ),
    "an array with texts": (
        make_pipeline(columns((one_hot, [1]), (SimpleImputer(), [0, 2])), linear),
        ARRAY,
        BITS,
    ),
    "an array of texts": (make_pipeline(one_hot, linear), TEXTS, BITS),
    "truths": (
        make_pipeline(columns((one_hot, ["flag"]), ("passthrough", ["age"])), linear),
        FRAME[["age", "rooms", "flag"]],
        BITS,
    ),
    "neighbours fill": (make_pipeline(KNNImputer(), linear), NUMBERS_WITH_GAPS, BITS),
    "indicators": (
        make_pipeline(make_union(SimpleImputer(), MissingIndicator()), linear),
        NUMBERS_WITH_GAPS,
        BITS,
    ),
    "some columns take missing": (
        make_pipeline(columns((SimpleImputer(), ["age"]), rest="passthrough"), linear),
        NUMBERS_WITH_GAPS,
        BITS,
    ),
    "a forest with gaps": (RandomForestClassifier(3), NUMBERS_WITH_GAPS, BITS),
    "frames within": (
        make_pipeline(
            columns((StandardScaler(), ["age"]), rest="passthrough").set_output(transform="pandas"),
            columns((StandardScaler(), ["remainder__rooms"])),
            LinearRegression(),
        ),
        NUMBERS,
        AMOUNTS,
    ),
    "a column of texts": (
        make_pipeline(columns((TfidfVectorizer(), "text"), (StandardScaler(), ["age"])), linear),
        FRAME,
        WORDS,
    ),
    "texts": (make_pipeline(CountVectorizer(), linear), FRAME["text"], WORDS),
    "hashed texts": (
        make_pipeline(HashingVectorizer(n_features=32), linear),
        FRAME["text"],
        WORDS,
    ),
    "a vote on texts": (
        VotingClassifier(
            [
                ("a", make_pipeline(CountVectorizer(), linear)),
                ("b", make_pipeline(TfidfVectorizer(), linear)),
            ],
            voting="soft",
        ),
        FRAME["text"],
        WORDS,
    ),
}
