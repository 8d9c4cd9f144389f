"""A bucket that cannot be reached, refuses, or answers wrongly: one clear line each, and what can be made good is.

All of it on a real server, with a proxy in front that cuts, delays, truncates and refuses.
"""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import botocore.auth
import pytest

from kitaru.blobs.bucket import BucketBlobs, Limits
from kitaru.errors import BadConfig, Damaged, KitaruError, NotExclusive, RemoteError, RemoteRefused, RemoteUnreachable

SOON = Limits(pause=0.001)
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def place(s3_remote, s3_proxy):
    return s3_remote(s3_proxy.endpoint)


@pytest.fixture
def blobs(place):
    """The place through the proxy, with short pauses before a request is made again."""
    return opened(place)


@pytest.fixture
def direct(s3_remote, place, s3_server):
    """The same place, past the proxy."""
    return opened(place._replace(options={"endpoint-url": s3_server.endpoint}))


def opened(place, limits=SOON, **options):
    bucket, _, prefix = place.url.removeprefix("s3://").partition("/")
    return BucketBlobs(bucket, prefix, {**place.options, **options}, limits)


EVERYTHING = {
    "create": lambda blobs: blobs.create("a/k", CONTENT),
    "get": lambda blobs: blobs.get("k"),
    "chunks": lambda blobs: b"".join(blobs.chunks("k")),
    "exists": lambda blobs: blobs.exists("k"),
    "size": lambda blobs: blobs.size("k"),
    "listing": lambda blobs: list(blobs.listing("")),
    "children": lambda blobs: blobs.children(""),
    "delete": lambda blobs: blobs.delete("k"),
    "now_us": lambda blobs: blobs.now_us(),
    "is_exclusive": lambda blobs: blobs.is_exclusive(),
}


def refusal(blobs, use, kind):
    """Return the one line that a use of the place ends with, and prove that it is fit to be shown."""
    with pytest.raises(KitaruError) as caught:
        EVERYTHING.get(use, use)(blobs)
    error = caught.value
    assert type(error) is kind, use
    assert "\n" not in error.message
    assert len(error.message) < 200
    assert error.hint
    for secret in ("the-secret", "AKIA", "Signature="):
        assert secret not in f"{error.message}{error.hint}"
    assert blobs.url in error.message
    return error.message


def refusals(blobs, kind):
    """Return the one line of every use of the place, by its name."""
    return {name: refusal(blobs, name, kind) for name in EVERYTHING}


def all_say(words, messages):
    return [name for name, message in messages.items() if words not in message] == []


class TestWithoutCredentials:
    def test_a_wrong_secret(self, blobs, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-nobody")
        assert all_say("the secret key does not belong to the access key", refusals(blobs, RemoteRefused))

    def test_an_unknown_key(self, blobs, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
        assert all_say("does not know this access key", refusals(blobs, RemoteRefused))

    def test_no_key(self, blobs, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert all_say("no credentials", refusals(blobs, RemoteRefused))

    def test_half_a_key(self, blobs, monkeypatch):
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "no credentials" in refusal(blobs, "get", RemoteRefused)

    def test_a_profile_that_is_not_there(self, place):
        assert "no such profile" in refusal(opened(place, profile="nobody"), "get", RemoteRefused)

    def test_a_profile_with_credentials(self, place, direct, monkeypatch, tmp_path, s3_server):
        direct.create("k", b"x")
        keys = s3_server.writer
        text = f"[team]\naws_access_key_id = {keys.access}\naws_secret_access_key = {keys.secret}\n"
        (tmp_path / "credentials").write_text(text)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert opened(place, profile="team").get("k") == b"x"

    def test_credentials_that_may_only_read(self, place, direct, monkeypatch, s3_server):
        direct.create("k", b"x")
        for name, value in s3_server.reader.env.items():
            monkeypatch.setenv(name, value)
        blobs = opened(place)
        assert blobs.get("k") == b"x"
        assert blobs.children("") == ["k"]
        assert "may not write there" in refusal(blobs, "create", RemoteRefused)
        large = refusal(blobs, lambda blobs: blobs.create("l", bytes(20 << 20)), RemoteRefused)
        assert "may not write there" in large
        assert "may not delete there" in refusal(blobs, "delete", RemoteRefused)
        assert "may not write there" in refusal(blobs, "is_exclusive", RemoteRefused)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("ExpiredToken", "have expired"),
            ("RequestTimeTooSkewed", "the clock of this machine"),
            ("AccessDenied", "may not"),
        ],
    )
    def test_what_a_real_server_refuses(self, blobs, s3_proxy, name, words):
        s3_proxy.fail(1, f"error:{name}", times=999)
        assert all_say(words, refusals(blobs, RemoteRefused))
        assert len(s3_proxy.requests) < 40  # what is refused is not asked again

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_a_clock_that_is_wrong(self, blobs, monkeypatch, hours):
        now = botocore.auth.get_current_datetime
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now() + timedelta(hours=hours))
        assert all_say("the clock of this machine", refusals(blobs, RemoteRefused))

    def test_a_session_token_that_the_server_does_not_know_is_told(self, blobs, s3_proxy, monkeypatch):
        s3_proxy.fail(1, "error:InvalidToken", times=999)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "the-secret-of-a-session")
        assert "session token" in refusal(blobs, "get", RemoteRefused)


class TestWithoutAServer:
    def test_nobody_listens(self, place):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        blobs = opened(place, **{"endpoint-url": f"http://127.0.0.1:{port}"})
        assert all_say("refused", refusals(blobs, RemoteUnreachable))

    def test_no_such_host(self, place):
        blobs = opened(place, **{"endpoint-url": "http://bucket.invalid"})
        assert "no host of this name" in refusal(blobs, "get", RemoteUnreachable)

    def test_no_such_bucket(self, place):
        gone = place._replace(url="s3://no-such-bucket/x")
        assert all_say("no such bucket", refusals(opened(gone), RemoteUnreachable))

    @pytest.mark.parametrize("name", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
    def test_another_region(self, blobs, s3_proxy, name):
        s3_proxy.fail(1, f"error:{name}", times=999)
        assert "region" in refusal(blobs, "listing", RemoteUnreachable)

    def test_no_such_bucket_for_what_is_large(self, place):
        gone = place._replace(url="s3://no-such-bucket/x")
        large = refusal(opened(gone), lambda blobs: blobs.create("k", bytes(20 << 20)), RemoteUnreachable)
        assert "no such bucket" in large

    @pytest.mark.parametrize("behaviour", ["page", "noise"])
    def test_no_server_of_buckets(self, blobs, s3_proxy, behaviour):
        s3_proxy.fail(1, behaviour, times=999)
        assert all_say("does not speak the protocol of S3", refusals(blobs, RemoteUnreachable))

    def test_no_trusted_connection(self, place, s3_server):
        blobs = opened(place, **{"endpoint-url": s3_server.endpoint.replace("http:", "https:")})
        assert "TLS" in refusal(blobs, "get", RemoteUnreachable)

    def test_a_connection_that_is_cut_for_good(self, blobs, s3_proxy):
        s3_proxy.fail(1, "refuse", times=999)
        assert all_say("cut again and again", refusals(blobs, RemoteUnreachable))

    def test_a_server_that_is_down_and_comes_back(self, blobs, s3_proxy):
        blobs.create("k", b"x")
        s3_proxy.down()
        refusal(blobs, "get", RemoteUnreachable)
        s3_proxy.up()
        assert blobs.get("k") == b"x"

    @pytest.mark.parametrize("limits", [Limits(answer=0.2, pause=0.001), Limits(request=0.2, pause=0.001)])
    def test_a_server_that_never_answers(self, place, s3_proxy, limits):
        blobs = opened(place, limits)
        s3_proxy.fail(1, "hold", times=999)
        assert "no answer in time" in refusal(blobs, "get", RemoteUnreachable)

    def test_a_region_that_is_none(self, place):
        refusal(opened(place, region="not a region"), "get", BadConfig)


class TestWhatPasses:
    @pytest.mark.parametrize("behaviour", ["refuse", "cut-request", "status:500", "status:503", "truncate"])
    def test_is_made_good(self, blobs, direct, s3_proxy, behaviour):
        for name, use in EVERYTHING.items():
            direct.create("k", CONTENT)
            rules = [s3_proxy.fail(1, behaviour, method=method) for method in ("GET", "PUT", "DELETE", "HEAD")]
            use(blobs)
            assert any(rule.met.is_set() for rule in rules), name
            s3_proxy.heal()
            assert direct.children("tmp") == [], name
            assert direct.get("a/k") == CONTENT, name

    def test_a_conflict_is_asked_again(self, blobs, s3_proxy):
        s3_proxy.fail(1, "status:409", times=2, method="PUT")
        assert blobs.create("k", b"x")
        assert [request.method for request in s3_proxy.requests] == ["PUT"] * 3

    def test_five_times_in_all(self, blobs, s3_proxy):
        s3_proxy.fail(1, "status:503", times=999)
        assert "SlowDown" in refusal(blobs, "get", RemoteError)
        assert len(s3_proxy.requests) == 5

    def test_a_success_that_nobody_heard_of_is_refused_the_second_time(self, blobs, direct, s3_proxy):
        """Which is why names carry a nonce: who meets his own has won."""
        rule = s3_proxy.fail(1, "cut-answer", method="PUT")
        assert not blobs.create("k", b"mine")
        assert rule.met.is_set()
        assert direct.get("k") == b"mine"

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    @pytest.mark.parametrize("at", [1, 2])
    def test_large_content_is_sent_whole(self, blobs, direct, s3_proxy, method, at):
        """Of two parts: the requests that begin and end an upload, and those that send a part."""
        content = bytes(range(256)) * 75_000
        for behaviour in ("refuse", "cut-request", "cut-answer", "status:500"):
            rule = s3_proxy.fail(at, behaviour, method=method)
            blobs.create(f"objects/{behaviour}", memoryview(content))
            assert rule.met.is_set(), behaviour
            assert direct.get(f"objects/{behaviour}") == content, behaviour

    @pytest.mark.parametrize("behaviour", ["refuse", "cut-answer", "truncate", "status:503"])
    def test_large_content_is_read_whole(self, blobs, direct, s3_proxy, behaviour):
        content = bytes(range(256)) * 66_000
        direct.create("objects/k", memoryview(content))
        for at in (1, 2, 3):
            rule = s3_proxy.fail(at, behaviour)
            assert b"".join(blobs.chunks("objects/k")) == content
            assert rule.met.is_set()


class TestWhatIsWrong:
    def test_a_body_that_is_always_cut_short_is_never_taken_for_whole(self, blobs, direct, s3_proxy):
        direct.create("k", CONTENT)
        s3_proxy.fail(1, "truncate", times=999)
        for use in ("get", EVERYTHING["chunks"], EVERYTHING["listing"]):
            refusal(blobs, use, RemoteUnreachable)

    def test_what_is_too_large_is_not_fetched(self, blobs, direct, s3_proxy):
        direct.create("k", bytes(1 << 20))
        with pytest.raises(Damaged, match="1048576 bytes, where at most 10 belong"):
            blobs.get("k", limit=10)
        assert len(s3_proxy.requests) == 1

    def test_a_body_without_a_length_is_not_taken_for_a_key_that_is_missing(self, blobs, direct, s3_proxy):
        direct.create("k", CONTENT)
        s3_proxy.fail(1, "chunked", times=999)
        for use in ("get", "chunks"):
            refusal(blobs, use, RemoteUnreachable)
        assert [listed.key for listed in blobs.listing("")] == ["k"]

    def test_what_is_written_past_the_end_of_a_limit_is_refused_with_a_start_too(self, blobs, direct):
        direct.create("k", b"0123456789")
        with pytest.raises(Damaged):
            blobs.get("k", limit=9, start=8)
        assert blobs.get("k", limit=10, start=8) == b"89"
        assert blobs.get("k", start=99) == b""

    def test_large_content_of_two_writers_is_that_of_one(self, blobs, direct, s3_proxy):
        """The condition holds for the request that makes the parts one blob, too."""
        rule = s3_proxy.fail(1, "hold", method="PUT")
        won = []
        late = threading.Thread(target=lambda: won.append(blobs.create("k", b"a" * (20 << 20))))
        late.start()
        rule.met.wait(60)
        assert direct.create("k", b"first")
        s3_proxy.release()
        late.join()
        assert won == [False]
        assert direct.get("k") == b"first"

    def test_a_server_without_conditions_is_not_exclusive_and_looked_at_before_each_write(self, blobs, s3_proxy):
        s3_proxy.fail(1, "error:NotImplemented", method="PUT")
        with pytest.raises(NotExclusive):
            blobs.create("k", b"x")
        s3_proxy.heal()
        s3_proxy.fail(1, "error:NotImplemented", method="PUT")
        assert not blobs.is_exclusive()
        assert blobs.create("k", b"first")
        assert not blobs.create("k", b"second")
        assert blobs.get("k") == b"first"

    def test_a_server_that_ignores_conditions_is_found_out(self, blobs, s3_proxy):
        """A proxy that answers 200 to every write, as a server does that has never heard of the condition."""
        s3_proxy.fail(1, "deaf", times=99, method="PUT")
        assert not blobs.is_exclusive()
