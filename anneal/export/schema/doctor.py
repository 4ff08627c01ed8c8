"""The document of `anneal doctor`."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

from anneal.export.schema.spread import Peaks

VERSION: Final = 1


class Package(TypedDict):
    """A package or a program that is used."""

    name: str
    version: str | None
    """None where it is not installed."""
    needed: bool
    """False for what only one feature takes."""
    purpose: str


class Adapter(TypedDict):
    """A GPU adapter as its driver describes it."""

    name: str
    backend: str
    driver: str
    kind: str
    """DiscreteGPU, IntegratedGPU, CPU or Unknown."""
    chosen: bool
    """True for the one that programs run on."""


class Limit(TypedDict):
    """A limit of a device against what the compiler uses."""

    name: str
    need: int
    """What plans for every device use."""
    have: int
    """What plans for this device may use."""
    purpose: str


class Feature(TypedDict):
    """Something optional that the compiler uses where a device has it."""

    name: str
    have: bool
    purpose: str


class Check(TypedDict):
    """Kernels that were run and compared with plain Python."""

    kernels: int
    error: float | str
    """The largest difference; as text where it is no number."""
    ms: float


class Device(TypedDict):
    """A device by the name that programs know it by."""

    name: str
    works: bool
    description: str | None
    software: bool | None
    limits: list[Limit]
    features: list[Feature]
    check: Check | None
    peaks: Peaks | None
    problem: str | None


class Browser(TypedDict):
    """A browser on this system."""

    name: str
    path: str
    version: str | None


class Site(TypedDict):
    """The visualizer's site, with Python compiled for browsers in it."""

    path: str
    found: bool
    bytes: int


class Cache(TypedDict):
    """A folder in which a driver keeps compiled shaders."""

    name: str
    path: str
    files: int
    bytes: int


class Terminal(TypedDict):
    """Where output goes."""

    tty: bool
    colour: bool
    columns: int
    lines: int
    encoding: str


class Problem(TypedDict):
    """What is wrong or could be better, and what to do about it on this system."""

    problem: str
    remedy: str
    severe: bool
    """False for what works, but not as well as it could."""


class Doctor(TypedDict):
    """The state of a system."""

    schema: Literal["anneal.doctor"]
    version: int
    anneal: str | None
    python: str
    executable: str
    platform: str
    system: str
    """Whose commands the remedies use: debian, fedora, arch, suse, alpine, macos, windows or other."""
    packages: list[Package]
    adapters: list[Adapter]
    devices: list[Device]
    browsers: list[Browser]
    site: Site
    plans_kept: int
    """Plans that a process keeps in memory at most."""
    caches: list[Cache]
    terminal: Terminal
    problems: list[Problem]
