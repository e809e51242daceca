"""The errors that users of the package meet."""


class DigitReaderError(Exception):
    """Base of every error that the package raises on purpose."""


class DataError(DigitReaderError):
    """A data set cannot be loaded."""


class DataNotFoundError(DataError):
    """A file of a data set is missing, or cannot be downloaded."""


class DataCorruptError(DataError):
    """A file of a data set is truncated, damaged, swapped or not the original."""


class TrainingError(DigitReaderError):
    """A training run cannot be started, or failed."""
