"""Digests say nothing to whoever does not have the key."""

import hashlib
from pathlib import Path

import pytest

from tests import make
from uploader.changes import Digests, private_key
from uploader.errors import StorageError
from uploader.model import Request

KEY = bytes(range(32))


def request(name: str = "Ann", moment: str = "2026-01-01T00:00:00.000Z") -> Request:
    return make.request(1, "external_id=7", body=make.body({"external_id": "7"}, {"df_name": name}, moment))


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "key"

    first, second = private_key(path), private_key(path)

    assert (first, len(first), path.stat().st_mode & 0o777) == (second, 32, 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_two_folders_have_two_keys(tmp_path: Path) -> None:
    assert private_key(tmp_path / "one") != private_key(tmp_path / "two")


def test_a_key_that_is_cut_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY[:5])

    with pytest.raises(StorageError, match=r"is not a valid key\. Run `uploader changes --forget`"):
        private_key(path)


def test_a_key_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(KEY)
    (tmp_path / "key").symlink_to("there")

    with pytest.raises(StorageError):
        private_key(tmp_path / "key")


def test_a_body_is_the_same_at_any_time_and_another_with_any_other_word() -> None:
    digests = Digests(KEY, "mapping")

    assert digests.body(request()) == digests.body(request(moment="2027-05-05T05:05:05.000Z"))
    assert digests.body(request()) != digests.body(request("Bob"))


def test_a_name_that_looks_like_the_time_is_part_of_the_body() -> None:
    digests = Digests(KEY, "mapping")

    found = {digests.body(request(f'a","request_datetime":"{end}')) for end in "xyz"}

    assert len(found) == 3


def test_another_key_makes_other_digests_of_people_and_bodies() -> None:
    one, other = Digests(KEY, "mapping"), Digests(KEY[::-1], "mapping")

    assert one.people(("a=1",)) != other.people(("a=1",))
    assert one.body(request()) != other.body(request())


def test_another_mapping_makes_other_digests_of_bodies_and_the_same_of_people() -> None:
    one, other = Digests(KEY, "mapping"), Digests(KEY, "other")

    assert one.people(("a=1",)) == other.people(("a=1",))
    assert one.body(request()) != other.body(request())


def test_no_plain_digest_is_in_a_keyed_one() -> None:
    value = b"external_id=7"

    (person,) = Digests(KEY, "mapping").people((value.decode(),))

    number = person.to_bytes(8, "big", signed=True)
    plain = [hashlib.new(name, value).digest() for name in ("md5", "sha1", "sha256", "blake2b")]
    assert not any(number in digest for digest in plain)


def test_a_tie_is_no_part_of_what_is_digested() -> None:
    digests = Digests(KEY, "mapping")

    assert digests.people(("external_id=7", "email=x", "~17")) == digests.people(("external_id=7", "email=x"))


def test_half_of_a_surrogate_pair_is_a_person_too() -> None:
    (person,) = Digests(KEY, "mapping").people(("a=\ud800",))

    assert person != Digests(KEY, "mapping").people(("a=\ud801",))[0]
