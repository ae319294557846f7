"""What the tests of AWS share: the bundle of this checkout, and a machine as Glue makes one."""

from __future__ import annotations

import pytest
from support import glue
from support.stores import s3_address, s3_client_store

from lakehead.aws.package import Bundle

__all__ = ["s3_address", "s3_client_store"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return glue.bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def glue_machine(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> glue.GlueMachine:
    return glue.machine(bundle, tmp_path_factory.mktemp("glue"))
