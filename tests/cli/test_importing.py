"""While heavy libraries are imported no garbage is looked for; before and after it is."""

import gc

import pytest

from lstmcli.cli.importing import importing


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    def import_what_is_not_there() -> None:
        with importing():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        import_what_is_not_there()
    assert gc.isenabled()


def test_what_was_imported_is_not_looked_through_again() -> None:
    try:
        with importing():
            stays: list[list[int]] = [[]]
        assert all(each is not stays for each in gc.get_objects())
        made_later: list[list[int]] = [[]]
        assert any(each is made_later for each in gc.get_objects())
    finally:
        gc.unfreeze()
