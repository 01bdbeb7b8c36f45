"""What goes wrong in the middle of PostgreSQL's sessions: afterwards everything works again."""

import threading
from types import SimpleNamespace

import pytest

from fault.postgres_proxy import PostgresProxy
from fault.proxy import Proxy
from harness import Peer, eventually
from harness.peer import new_stream, readings, senml

TAKEN = "taking plain messages"


@pytest.fixture
def postgres(lab):
    return lab.use_postgres()


def said(service, message):
    """The events of a service's log with this message."""
    return [event for event in service.events() if event["msg"] == message]


def sessions(postgres):
    sql = "SELECT pid, state, query FROM pg_stat_activity WHERE application_name = 'dewpoint-ingest' ORDER BY 1"
    return postgres.execute(sql)


def expires(postgres):
    ((instant,),) = postgres.execute("SELECT expires FROM lease WHERE name = 'plain'")
    return instant


def fail_a_renewal(postgres):
    """A renewal waits for a row, and is cancelled there."""
    other = postgres.connect()
    with other.cursor() as cursor:
        cursor.execute("SELECT holder FROM lease WHERE name = 'plain' FOR UPDATE")

    def waits():
        return [
            pid for pid, state, query in sessions(postgres) if state == "active" and "INSERT INTO lease" in query
        ]

    for pid in eventually(waits, "a renewal waits"):
        postgres.execute("SELECT pg_cancel_backend(%s)", pid)
    other.rollback()
    other.close()


def test_a_renewal_that_fails(lab, central, postgres):
    """It leaves no transaction behind: the next one succeeds, and plain messages go on."""
    ingest = lab.ingest(central)
    eventually(lambda: said(ingest, TAKEN), "it has the lease")
    fail_a_renewal(postgres)
    eventually(lambda: said(ingest, "cannot renew the lease for plain messages") or
        not [s for _, s, _ in sessions(postgres) if s == "active"], "it was told")
    before = expires(postgres)
    eventually(lambda: expires(postgres) > before, "the lease is renewed")
    assert [state for _, state, _ in sessions(postgres)] == ["idle"]
    device = lab.client(central)
    device.publish("/data/bench", "temperature=1")
    eventually(lambda: lab.database.count() == 1, "the message is stored")
    assert len(said(ingest, TAKEN)) == 1


def test_a_holder_that_cannot_renew(lab, central, postgres):
    """Its way to the database is cut: it gives the plain session up, and another has it alone."""
    server = SimpleNamespace(port=postgres.port, certificates=None)
    way = Proxy(server)
    try:
        url = postgres.url().replace(f":{postgres.port}/", f":{way.port}/")
        holder = lab.ingest(central, STORE_URL=url)
        eventually(lambda: said(holder, TAKEN), "it has the lease")
        other = lab.ingest(central)
        server.port = 1  # nobody is there
        way.break_all()
        eventually(lambda: said(other, TAKEN), "the other has the lease")
        device = lab.client(central)
        for n in range(20):
            device.publish("/data/bench", f"temperature={n}")
        eventually(lambda: lab.database.count() == 20, "all are stored")
        # Both stay as they are over the next renewals.
        before = expires(postgres)
        eventually(lambda: expires(postgres) > before, "the lease is renewed")
        before = expires(postgres)
        eventually(lambda: expires(postgres) > before, "the lease is renewed again")
        assert "aken over" not in holder.stderr() + other.stderr()
        assert len(said(other, TAKEN)) == 1
        server.port = postgres.port
        holder.wait_healthy()
    finally:
        way.close()


@pytest.mark.parametrize("later_s", [0.1, 0.7])
def test_it_stops_while_its_database_is_away(lab, central, postgres, later_s):
    """Before and after a batch is due to be tried again: exit 0, in time; senders keep it."""
    server = SimpleNamespace(port=postgres.port, certificates=None)
    way = Proxy(server)
    try:
        server.port = 1  # nobody is there
        url = postgres.url().replace(f":{postgres.port}/", f":{way.port}/")
        ingest = lab.ingest(central, healthy=False, STORE_URL=url)
        # It tries seldom by now: nothing else wakes it up.
        eventually(lambda: way.connections >= 7, "it has tried often")
        peer = Peer(lab.client(central))
        stream = new_stream()
        tries = way.connections
        eventually(lambda: way.connections > tries, "it has just tried")
        peer.send(stream, 1, senml(readings(1, 3)), 3)
        stop = threading.Timer(later_s, ingest.stop)
        stop.start()
        stop.join()
        assert ingest.wait_exit(10) == 0
    finally:
        way.close()
    lab.ingest(central)
    assert peer.batch(stream, 1, 3)["stored"] == [[stream, 1, 3]]


def test_more_than_there_is_time_for(lab, central, postgres):
    """A batch that the server has no time for is split until it fits, and stored."""
    lab.ingest(central).stop()  # makes the tables
    postgres.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.01); RETURN new; END $$"
    )
    postgres.execute("CREATE TRIGGER slow BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION slow()")
    url = postgres.url() + "?options=-c%20statement_timeout%3D1s"
    ingest = lab.ingest(central, STORE_URL=url)
    peer = Peer(lab.client(central))
    streams = [new_stream() for _ in range(12)]
    # While one is being stored, the others gather: 600 rows would take 6 s.
    for stream in streams:
        peer.send(stream, 1, senml(readings(1, 50)), 50)
    eventually(lambda: lab.database.count() == 600, "all are stored", 60)
    eventually(
        lambda: len({run[0] for a in peer.answers() for run in a.get("stored", [])}) == 12, "all are answered"
    )
    assert any("statement timeout" in event.get("error", "") for event in ingest.events())


def test_limits_of_the_url_stay(lab, central, postgres):
    """What an administrator has set is not overruled."""
    ingest = lab.ingest(central, STORE_URL=postgres.url() + "?options=-c%20lock_timeout%3D300ms")
    peer = Peer(lab.client(central))
    stream = new_stream()
    peer.batch(stream, 1, 1)
    holder = postgres.connect()
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM stream FOR UPDATE")
        sent = peer.send(stream, 2, senml(readings(2, 1)), 1)
        eventually(lambda: "lock timeout" in ingest.stderr(), "it gives up, and says so")
    holder.rollback()
    holder.close()
    assert peer.answer(sent)["stored"] == [[stream, 2, 1]]


@pytest.mark.parametrize("about", [b"COPY reading", b"UPDATE stream", b"INSERT INTO sensor"])
def test_what_is_refused_once_is_stored(lab, central, postgres, about):
    """As when two replicas meet: a value that is refused once is no dead letter."""
    way = PostgresProxy(postgres.port, "refuse", 1, about, instead=b"SELECT 1 / 0\0")
    try:
        url = postgres.url().replace(f":{postgres.port}/", f":{way.port}/") + "?sslmode=disable"
        ingest = lab.ingest(central, STORE_URL=url)
        peer, stream = Peer(lab.client(central)), new_stream()
        assert peer.batch(stream, 1, 3) == {"stored": [[stream, 1, 3]]}
        assert way.spoiled, "it was not refused"
        assert lab.database.count() == 3 and lab.database.dead_letters() == []
        ingest.stop()
    finally:
        way.close()
