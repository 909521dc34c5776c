"""Photonet result files as pandas DataFrames and xarray Datasets, with units.

    import photonet
    results = photonet.open("demo.h5")
    results.summary                       # one row a run
    results["fat-tree"].links             # any table of analysis/schema.md; .attrs["units"] says what is in it

A table's index is its dimension scale (port, rank, node, else row). results["fat-tree"].xarray("links") gives the
same as an xarray Dataset. Nothing is kept open: a file of a run that is going on can be read again at any time.

Needs h5py, numpy and pandas (Debian: python3-h5py, python3-pandas); xarray() needs xarray (python3-xarray).
"""

import os

import h5py
import numpy as np
import pandas as pd

SCHEMA_VERSION_MAX = 1
_NOT_TABLES = ("latency", "timeseries")


def open(*paths):
    """The runs of one or more result files, in the order in which they were made."""
    if not paths:
        raise TypeError("photonet.open() needs the path of at least one result file")
    runs = [run for path in paths for run in _runs_of(os.fspath(path))]
    return Results(runs)


class Results:
    """Runs by name. Where two files have a run of the same name, the names are FILE:RUN."""

    def __init__(self, runs):
        plain = [run.name for run in runs]
        self._runs = {}
        for run in runs:
            name = run.name if plain.count(run.name) == 1 else f"{os.path.basename(run.path)}:{run.name}"
            if name in self._runs:
                name = f"{run.path}:{run.name}"
            self._runs[name] = run

    def __getitem__(self, name):
        if name not in self._runs:
            raise KeyError(f"no run is named {name!r}; there are {', '.join(self._runs)}")
        return self._runs[name]

    def __iter__(self):
        return iter(self._runs)

    def __len__(self):
        return len(self._runs)

    def __contains__(self, name):
        return name in self._runs

    def __repr__(self):
        return f"<photonet results: {', '.join(self._runs)}>"

    def items(self):
        return self._runs.items()

    @property
    def summary(self):
        """One row a run: what the run is, then the scalars of its summary (empty where it did not end)."""
        about = ("status", "engine", "trace", "fabric", "fabric_family", "scale", "digest")
        rows, units, meanings = [], dict.fromkeys(about, "text"), {}
        for name, run in self._runs.items():
            table = run.table("summary")
            labels = table.attrs
            units.update({column: labels["units"][column] for column in table.columns})
            meanings.update(labels["long_name"])
            table.index = pd.Index([name] * len(table), name="run")
            table = table.reindex([name])
            for place, key in enumerate(about):
                table.insert(place, key, run.attrs.get(key))
            rows.append(table)
        frame = pd.concat(rows)
        frame.attrs.update(units={**units, "scale": "1"}, long_name=meanings)
        return frame

    def table(self, name):
        """A table of all runs, one below the other, with the run in front of the index."""
        frames = {run_name: run.table(name) for run_name, run in self._runs.items()}
        joined = pd.concat(frames, names=["run"])
        for frame in frames.values():
            for key, value in frame.attrs.items():
                joined.attrs.setdefault(key, {}).update(value)
        return joined


class Run:
    """One run. Tables are attributes: run.links, run.ranks, run.energy, ...; run.tables lists them."""

    def __init__(self, path, name, attrs, tables, latency, timeseries):
        self.path, self.name, self.attrs, self.tables = path, name, attrs, tables
        self._latency_names, self._timeseries_names = latency, timeseries

    def __repr__(self):
        return f"<photonet run {self.name}: {self.attrs.get('status')}, tables {', '.join(self.tables)}>"

    def __getattr__(self, name):
        if name.startswith("_") or name not in self.tables:
            raise AttributeError(f"run {self.name} has no table {name!r}; there are {', '.join(self.tables)}")
        return self.table(name)

    def __dir__(self):
        return [*super().__dir__(), *self.tables]

    def table(self, name):
        """A table as a DataFrame; .attrs["units"] and .attrs["long_name"] by column."""
        if name not in self.tables:
            return _empty_frame()
        with h5py.File(self.path, "r") as file:
            return _frame(file[f"runs/{self.name}/{name}"])

    @property
    def latency(self):
        """The histograms, by name: a DataFrame of counts over the lower edges of the bins."""
        with h5py.File(self.path, "r") as file:
            return {name: _frame(file[f"runs/{self.name}/latency/{name}"]) for name in self._latency_names}

    @property
    def timeseries(self):
        """The time series, by name: an xarray DataArray over time_ps and an index."""
        import xarray

        series = {}
        with h5py.File(self.path, "r") as file:
            for name in self._timeseries_names:
                data = file[f"runs/{self.name}/timeseries/{name}/{name}"]
                scales = [dimension[0] for dimension in data.dims]
                names = [scale.name.rsplit("/", 1)[-1] for scale in scales]
                series[name] = xarray.DataArray(
                    data[()], dims=names, name=name, attrs=_labels(data),
                    coords={key: (key, scale[()], _labels(scale)) for key, scale in zip(names, scales)})
        return series

    def xarray(self, name):
        """A table as an xarray Dataset over its dimension scale."""
        dataset = self.table(name).to_xarray()
        frame_attrs = self.table(name).attrs
        for key in dataset.variables:
            for label in ("units", "long_name"):
                if key in frame_attrs[label]:
                    dataset[key].attrs[label] = frame_attrs[label][key]
        return dataset


def _runs_of(path):
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: is no HDF5 file; expected a result file of photonet run")
    with h5py.File(path, "r") as file:
        if file.attrs.get("format") != "photonet-results":
            raise ValueError(f"{path}: is an HDF5 file but not of Photonet")
        if file.attrs["schema_version"] > SCHEMA_VERSION_MAX:
            raise ValueError(f"{path}: has schema version {file.attrs['schema_version']}; expected at most "
                             f"{SCHEMA_VERSION_MAX}: read it with a newer photonet.py")
        groups = sorted(file["runs"].values(), key=lambda group: group.attrs.get("ordinal", 0))
        return [_run(path, group) for group in groups]


def _run(path, group):
    attrs = {key: value.item() if isinstance(value, np.generic) else value for key, value in group.attrs.items()}
    tables = [name for name in group if name not in _NOT_TABLES]
    latency, timeseries = (list(group.get(name, ())) for name in _NOT_TABLES)
    return Run(path, group.name.rsplit("/", 1)[-1], attrs, tables, latency, timeseries)


def _labels(dataset):
    return {key: dataset.attrs[key] for key in ("units", "long_name") if key in dataset.attrs}


def _values(dataset):
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[()]
    return dataset[()]


def _empty_frame():
    frame = pd.DataFrame()
    frame.attrs.update(units={}, long_name={})
    return frame


def _frame(group):
    """A group of columns, in the order of its attribute `columns`, indexed by the dimension scale."""
    frame = pd.DataFrame({name: _values(group[name]) for name in group.attrs["columns"]})
    labels = {name: _labels(group[name]) for name in group}
    index = next(name for name in group if group[name].attrs.get("CLASS") == b"DIMENSION_SCALE")
    frame.index = pd.Index(_values(group[index]), name=index)
    if index in frame.columns:
        frame = frame.drop(columns=index)
    frame.attrs["units"] = {name: label.get("units") for name, label in labels.items()}
    frame.attrs["long_name"] = {name: label.get("long_name") for name, label in labels.items()}
    return frame
