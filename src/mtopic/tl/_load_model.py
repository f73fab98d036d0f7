import os

from mtopic._api import public
from mtopic._data import DataLike
from mtopic.model import state
from mtopic.model.file import incomplete, read

from ._mtm import MTM
from ._smtm import sMTM

MODELS: dict[str, type[MTM] | type[sMTM]] = {"MTM": MTM, "sMTM": sMTM}


@public
def load_model(
    path: str | os.PathLike[str],
    data: DataLike | None = None,
    scratch: str | os.PathLike[str] | None = None,
    *,
    keep_scratch: bool = False,
) -> MTM | sMTM:
    """Read a model that ``model.save``, or a checkpoint of a fit, has written.

    Without the data, the model can be exported, read and saved again. With them, it can also be fitted further, and
    then gives the same bits as the saved model would have given.

    Parameters
    ----------
    path
        The file.
    data
        The data of the fit, with the counts as they were then. Observations, features and modalities may be in another
        order.
    {scratch}
        Observations and features then have to be in the order of the fit. With this and without data, the model has its
        counts from the working copy that the fit has kept there.
    {keep_scratch}

    Returns
    -------
    MTM or sMTM
        As it was saved. It has a copy of a generator that was given as ``seed``.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names like it in the folder are offered.
    ValueError
        If the file was cut short or changed since it was written, holds no model, or has a schema version that this
        mtopic does not read; or if the data are not those of the fit.

    {Examples:data}
    >>> import pathlib, tempfile
    >>> model = mt.tl.MTM(mdata, n_topics=3, verbose=False)
    >>> model.VI(n_iter=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(pathlib.Path(folder) / "model.h5")
    ...     again = mt.tl.load_model(pathlib.Path(folder) / "model.h5", mdata)
    >>> again.VI(n_iter=5)
    >>> len(again.elbo)
    10
    """
    found = read(path)
    try:
        kind = MODELS[found.settings["model"]]
        model = kind.__new__(kind)
        state.restore(model, found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise incomplete(path, error) from error
    if data is not None:
        state.take_data(model, data, scratch, keep_scratch)
    elif scratch is not None:
        state.take_kept_copy(model, scratch)
    return model
