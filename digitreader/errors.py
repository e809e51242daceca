"""The errors that users of the package meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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


class ImageError(DigitReaderError):
    """Something is wrong with an image."""


class ImageFormatError(ImageError):
    """The input is no image, is damaged, or is of a kind that is not read."""


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than are allowed."""


class BlankImageError(ImageError):
    """The image shows no ink."""


class CrashError(ImageError):
    """Reading the image ended the process that read it, again and again."""


class ModelError(DigitReaderError):
    """A file of the model is missing, damaged, or does not belong to the others."""


class ExportError(DigitReaderError):
    """The network cannot be exported, or its export predicts differently."""


class CalibrationError(DigitReaderError):
    """The reader cannot be calibrated."""


class MissingExtraError(DigitReaderError):
    """A package that only some installations have is missing."""


@contextmanager
def extra(name: str, needs: str) -> Iterator[None]:
    """Say of a package that an import does not find which extra has it.

    Parameters
    ----------
    name : str
        The extra.
    needs : str
        What needs it, with its verb: "the service needs".

    Raises
    ------
    MissingExtraError
        If a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is not installed, which {needs}: pip install 'digitreader[{name}]'"
        ) from error


class DriftError(DigitReaderError):
    """The readings of a service cannot be compared with those of the calibration."""


class ReviewError(DigitReaderError):
    """The folder of what a person should look at cannot be used."""


class CloudError(DigitReaderError):
    """A recogniser in a cloud did not say what an image shows."""


class CloudSetupError(CloudError):
    """Credentials, region or endpoint of a cloud are missing or refused: asking again is of no use."""


class CloudThrottledError(CloudError):
    """A cloud refuses so many requests, or a quota is used up."""


class CloudTimeoutError(CloudError):
    """A cloud cannot be reached, or does not answer in time."""


class CloudResponseError(CloudError):
    """A cloud refuses an image, fails, or answers what it should not."""


class BatchError(DigitReaderError):
    """A batch job cannot be started, continued or finished."""


class InputError(BatchError):
    """What a batch job is to read is missing or damaged, or cannot be reached."""


class JobChangedError(BatchError):
    """The output folder holds a job with another input, other networks or other options."""


class JobBusyError(BatchError):
    """Another process works on the same job."""
