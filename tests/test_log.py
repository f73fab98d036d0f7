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


def heard_by(before):
    """What a script prints that does something with the logger before it imports the package."""
    script = f"""
import logging, sys
{before}
import mtopic as mt
cells = mt.datasets.simulate(n_obs=50, n_topics=2, modalities={{"rna": 30}})
mt.pp.filter_var_list(cells, cells["rna"].var_names[:10])
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)


def test_a_handler_that_was_there_first_is_the_only_one():
    done = heard_by('logging.getLogger("mtopic").addHandler(logging.StreamHandler(sys.stderr))')
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == "rna: 10 of 30 features kept, 20 dropped"


def test_a_level_that_was_there_first_stays():
    assert heard_by('logging.getLogger("mtopic").setLevel("WARNING")').stdout == ""
