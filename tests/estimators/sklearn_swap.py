"""A plugin of pytest: scikit-learn's tests of its perceptrons then meet those of fastnn."""

import sklearn.neural_network

import fastnn

sklearn.neural_network.MLPClassifier = fastnn.MLPClassifier
sklearn.neural_network.MLPRegressor = fastnn.MLPRegressor
