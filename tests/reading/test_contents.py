"""Contents of sources: compressed, damaged, too large, or not a file."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from lstmcli.errors import DataError, LstmcliError, MissingFileError, UsageError
from lstmcli.reading import contents
from lstmcli.reading.contents import list_tables, read_source
from tests.reading.files import opened
from tests.rows import for_each

TEXT = b"Date,Close\n2024-01-02,1.5\n2024-01-03,2.5\n"


def zipped(*names: str, data: bytes = TEXT) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return file.getvalue()


PACKED = {
    "nothing": TEXT,
    "gzip": gzip.compress(TEXT),
    "two parts of gzip": gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:]),
    "zip": zipped("prices.csv"),
    "zip of a Mac": zipped("prices.csv", "__MACOSX/._prices.csv", ".DS_Store"),
    "xz": lzma.compress(TEXT),
    "bzip2": bz2.compress(TEXT),
}


@for_each("kind", PACKED)
def test_a_packed_file_is_unpacked(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(PACKED[kind])
    assert read_source(tmp_path / "a").data == TEXT
    assert read_source("-", io.BytesIO(PACKED[kind])).data == TEXT


@for_each(
    ("data", "message"),
    [
        (zipped("a.csv", "b.csv"), r"expected one file in the zip archive.*a\.csv, b\.csv"),
        (zipped(), "cannot unpack"),
        (zipped("folder/"), "found none"),
        (zipped("a.csv", data=zipped("b.csv")), "zip of a zip"),
        (gzip.compress(gzip.compress(TEXT)), "gzip of gzip data"),
        (tarred(), "a tar archive"),
        (gzip.compress(tarred()), "a tar archive in gzip"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(9), "7-Zip"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "Zstandard"),
    ],
)
def test_unsupported_archives_are_named(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(data)


@for_each("kind", ["gzip", "zip", "xz", "bzip2"])
def test_a_damaged_archive_gives_the_whole_text_or_an_error(kind: str) -> None:
    whole = PACKED[kind]
    damaged = [whole[:cut] for cut in range(6, len(whole), 3)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        for at in range(6, len(whole), 5)
        for bit in (1, 128)
    ]
    for data in damaged:
        try:
            found = read_source("-", io.BytesIO(data)).data
        except LstmcliError as error:
            assert isinstance(error, DataError)  # noqa: PT017
            continue
        assert found == TEXT


@for_each("pack", [gzip.compress, bz2.compress, lzma.compress, lambda data: zipped("a", data=data)])
def test_unpacking_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    assert callable(pack)
    monkeypatch.setattr(contents, "MAX_BYTES", 1024**2)
    monkeypatch.setattr(contents, "_PIECE", 2**16)
    bomb = pack(b"0,1\n" * 10**6)
    assert len(bomb) < 20_000
    with pytest.raises(DataError, match=r"too large.*more than 1 MiB of data"):
        read_source("-", io.BytesIO(bomb))


def test_an_encrypted_zip_is_named() -> None:
    data = bytearray(zipped("a.csv"))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        read_source("-", io.BytesIO(bytes(data)))


@for_each("address", ["https://a.org/x.csv?a=b", "http://a", "ftp://a/b", "s3://a/b.parquet"])
def test_a_url_is_an_error_with_a_remedy(address: str) -> None:
    with pytest.raises(UsageError, match="curl -O"):
        read_source(address)


def test_the_error_for_a_missing_file_suggests_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "prices.parquet").write_bytes(TEXT)
    with pytest.raises(MissingFileError, match=r"Did you mean .*prices\.parquet"):
        read_source(tmp_path / "price.parquet")


def test_an_endless_line_is_not_read_up_to_the_limit() -> None:
    with pytest.raises(DataError, match="longer than 8 MiB"):
        read_source("-", io.BytesIO(b"\0" * 9 * 1024**2))


def test_a_folder_gives_its_tables_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "b.json", "c.json", ".hidden.csv", "notes.md", "d.csv.gz"):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / "sub.csv").mkdir()
    found, note = list_tables(str(tmp_path))
    assert [Path(each).name for each in found] == ["a.parquet", "b.csv", "c.json", "d.csv.gz"]
    assert note.startswith("Skipped 4 other files in ")
    assert ".hidden.csv, b.json, notes.md and 1 more" in note


def test_the_error_for_a_folder_without_tables_lists_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no tables in the folder .*found nothing"):
        list_tables(str(tmp_path))
    (tmp_path / "notes.md").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"found notes\.md"):
        list_tables(str(tmp_path))
