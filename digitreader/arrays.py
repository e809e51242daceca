"""Names for the arrays that the modules pass to each other, and for what files of them may raise."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

DAMAGED = (EOFError, ValueError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises if a file of arrays is cut off or damaged."""
