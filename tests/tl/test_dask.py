"""Fits whose blocks of counts are the work of a cluster of dask."""

import os
import pickle
import shutil
import signal
import threading
import time
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

import mtopic as mt
from mtopic.inference import stored

FIT: dict[str, Any] = {"n_topics": 4, "n_iter": 15, "n_jobs": 1, "verbose": False}


def simulated():
    return mt.datasets.simulate(n_obs=600, n_topics=4, modalities={"rna": 60, "atac": 90}, depth=150, rng=0)


@pytest.fixture(scope="module")
def tissue():
    return simulated()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", 5000)


class Tasks(SchedulerPlugin):
    """Counts the tasks of each name that were done."""

    def __init__(self):
        self.done = {}

    def transition(self, key, start, finish, *args, **kwargs):
        if finish == "memory":
            name = key.split("-")[0]
            self.done[name] = self.done.get(name, 0) + 1


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    client = Client(cluster)
    yield client
    client.close()  # a second time does nothing, and ``with`` would leave dask set to a client that is closed


@pytest.fixture
def tasks(cluster, client):
    plugin = Tasks()
    cluster.scheduler.add_plugin(plugin, name="tasks")
    yield plugin.done
    cluster.scheduler.remove_plugin("tasks")


def fitted(data, scratch, **how):
    return mt.tl.topic_model(data, **(FIT | how), scratch=scratch, copy=True).obsm["topics"].to_numpy()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"spatial_key": "spatial", "n_iter": 5},
        {"spatial_key": "spatial", "smoothing": "original", "eta": "auto", "n_iter": 5},
        {"inference": "collapsed", "alpha": "auto", "dtype": "float64", "n_iter": 5},
    ],
    ids=["cells", "tissue", "correction", "collapsed"],
)
def test_workers_give_the_bits_of_a_fit_without_them(tissue, tmp_path, client, tasks, how):
    found = fitted(tissue, tmp_path, **how)
    n_blocks = -(-sum(adata.X.nnz for adata in tissue.mod.values()) // 5000)
    assert tasks["e_step"] >= n_blocks * how.get("n_iter", 15) and tasks["statistics"] >= n_blocks and tasks["sum"]
    assert not list(tmp_path.iterdir())
    client.close()
    done = dict(tasks)
    np.testing.assert_array_equal(fitted(tissue, tmp_path, **how), found)
    assert tasks == done


def test_a_client_that_is_given_and_not_the_default(tissue, tmp_path, cluster):
    plugin = Tasks()
    cluster.scheduler.add_plugin(plugin, name="given")
    with Client(cluster, set_as_default=False) as client:
        known = fitted(tissue, tmp_path, n_iter=2)
        assert not plugin.done
        with client.as_current():
            np.testing.assert_array_equal(fitted(tissue, tmp_path, n_iter=2), known)
        assert plugin.done["e_step"]
    cluster.scheduler.remove_plugin("given")


def test_a_fit_within_a_task_is_the_work_of_its_worker(tissue, tmp_path):
    known = fitted(tissue, tmp_path, n_iter=2)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        found = client.submit(lambda: fitted(simulated(), str(tmp_path), n_iter=2)).result(timeout=120)
    np.testing.assert_array_equal(found, known)


def test_a_model_does_not_take_its_client_along(tissue, tmp_path, client):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, scratch=tmp_path, keep_scratch=True)
    model.VI(2)
    again = pickle.loads(pickle.dumps(model))
    for one in (again, model):
        one.VI(2)
    np.testing.assert_array_equal(again.gamma, model.gamma)


def test_counts_in_memory_stay_here(tissue, client, tasks):
    fitted(tissue, None, n_iter=2)
    assert not tasks


def test_batches_and_what_follows_them(tissue, tmp_path, client, tasks):
    model = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, scratch=tmp_path)
    model.SVI(n_batches=12, batch_size=100)
    assert tasks["e_step"]
    client.close()
    here = mt.tl.MTM(tissue, 4, n_jobs=1, verbose=False, scratch=tmp_path)
    here.SVI(n_batches=12, batch_size=100)
    np.testing.assert_array_equal(model.gamma, here.gamma)


def test_uncertainty_is_the_work_of_workers_too(tissue, tmp_path, client, tasks):
    data = mt.tl.topic_model(tissue, **(FIT | {"n_iter": 3}), scratch=tmp_path, copy=True)
    done, found = dict(tasks), data.copy()
    for measure in (mt.tl.uncertainty, mt.tl.signature_uncertainty):
        measure(found, n_jobs=1, verbose=False, scratch=tmp_path)
    assert tasks["moments"] and tasks["variances"] and tasks["sum"] > done["sum"]
    client.close()
    for measure in (mt.tl.uncertainty, mt.tl.signature_uncertainty):
        measure(data, n_jobs=1, verbose=False, scratch=tmp_path)
    np.testing.assert_array_equal(found.obsm["topics_sd"], data.obsm["topics_sd"])
    for mod in data.mod:
        np.testing.assert_array_equal(found[mod].varm["signatures_sd"], data[mod].varm["signatures_sd"])


class Killer:
    """Kills a worker at a random moment after each of some iterations, when all are there."""

    def __init__(self, cluster, times):
        self.cluster, self.times, self.pids, self.rng = cluster, times, set(), np.random.default_rng(0)
        self.timer = threading.Timer(0, self.kill)

    def __call__(self, model):
        if len(self.pids) < self.times:
            if self.pids:
                self.timer.join()
            self.wait()
            self.timer = threading.Timer(self.rng.uniform(0, 0.1), self.kill)
            self.timer.start()

    def wait(self):
        ends = time.monotonic() + 60
        while len(self.running()) < 2 or self.pids & {*self.running()}:
            assert time.monotonic() < ends, "workers do not come back"
            time.sleep(0.05)

    def running(self):
        """Processes of the workers that the scheduler knows."""
        nannies = {nanny.worker_address: nanny.pid for nanny in self.cluster.workers.values()}
        known = (nannies.get(address) for address in self.cluster.scheduler.workers)
        return [pid for pid in known if pid is not None]

    def kill(self):
        pid = self.running()[self.rng.integers(2)]
        self.pids.add(pid)
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.weekly)])
def test_workers_that_are_killed_change_no_bit(tissue, tmp_path, times):
    known = fitted(tissue, tmp_path)
    # else a cluster gives up a worker that is not there some seconds after it was killed before
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "300s"})
    with patient, LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        killer = Killer(cluster, times)
        found = fitted(tissue, tmp_path, callback=killer)
    np.testing.assert_array_equal(found, known)
    assert len(killer.pids) == times and not list(tmp_path.iterdir())


def test_a_folder_that_workers_do_not_see(tissue, tmp_path, client):
    def lose(model):
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)

    with pytest.raises(FileNotFoundError, match=r"a worker cannot read scratch=.*give a folder that all workers"):
        fitted(tissue, tmp_path, callback=lose)


def test_a_fit_that_fails_leaves_no_task(tissue, tmp_path, client, cluster):
    def stop(model):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fitted(tissue, tmp_path, callback=stop)
    assert not list(tmp_path.iterdir()) and not client.futures
