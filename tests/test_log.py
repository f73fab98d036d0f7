"""What functions tell goes through one logger, which can be silenced and listened to."""

import logging
import subprocess
import sys

import mtopic as mt


def keep_ten(**options):
    mdata = mt.datasets.simulate(n_obs=50, n_topics=2, modalities={"rna": 30})
    return mt.pp.filter_var_list(mdata, mdata["rna"].var_names[:10], **options)


def test_messages_are_lines_on_standard_output(capsys):
    keep_ten()
    captured = capsys.readouterr()
    assert captured.out == "rna: 10 of 30 features kept, 20 dropped\n"
    assert captured.err == ""


def test_new_features_that_were_matched(capsys):
    mdata = mt.datasets.simulate(n_obs=60, n_topics=2, modalities={"rna": 30})
    new = mdata[:10].copy()
    mt.tl.topic_model(mdata, n_topics=2, verbose=False)
    mt.tl.transform(mdata, new)
    assert capsys.readouterr().out == "rna: 30 of 30 features matched, 0 others left out\n"


def test_messages_can_be_turned_off(capsys, log_level):
    keep_ten(verbose=False)
    log_level("WARNING")
    keep_ten()
    assert capsys.readouterr().out == ""


def test_messages_can_be_listened_to(capsys):
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("mtopic")
    logger.addHandler(handler)
    try:
        keep_ten()
    finally:
        logger.removeHandler(handler)
    assert heard == ["rna: 10 of 30 features kept, 20 dropped"]


# Does something with the logger before the package is imported, and then as if it was imported once more.
BEFORE = """
import logging, sys
logger, handler = logging.getLogger("mtopic"), logging.StreamHandler(sys.stderr)
logger.addHandler(handler)
import importlib
import mtopic as mt
cells = mt.datasets.simulate(n_obs=50, n_topics=2, modalities={"rna": 30})
def keep():
    mt.pp.filter_var_list(cells, cells["rna"].var_names[:10])
keep()
print(logger.handlers == [handler])
logger.removeHandler(handler)
logger.setLevel("WARNING")
importlib.reload(mt._log)
keep()
print(len(logger.handlers), logging.getLevelName(logger.level))
"""


def test_a_handler_that_was_there_first_is_the_only_one_and_a_level_stays():
    done = subprocess.run([sys.executable, "-c", BEFORE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True", "1 WARNING"]
    assert done.stderr.splitlines()[-1] == "rna: 10 of 30 features kept, 20 dropped"
