"""A node that gets another name: what its outbox kept under the old one arrives under that, once."""

import pytest

from harness import Certificates, Database, eventually
from harness.oracle import all_accepted
from harness.rights import ProvisionedCentre, rights_of

KEPT = 60


@pytest.fixture
def make_centre(lab, tmp_path):
    """make_centre(was): a centre that knows the node `new`, with these former names."""

    def make(was):
        rights = rights_of(tmp_path / "who", {"old": [], "new": was})
        return ProvisionedCentre(lab, Certificates(tmp_path / "ca"), rights, more=["log_type all"])

    return make


def fill_outbox(lab, local, centre, count=KEPT):
    """What the node `old` accepts while the centre is away; @return its outbox and ledger."""
    centre.inside.kill()
    publisher = centre.publisher(local, "old", healthy=False, SPILL_AFTER_MS=100)
    eventually(lambda: "started" in publisher.stderr(), "it has started")
    sampler = lab.sampler(local, f"bench=sim@1,count={count}", PERIOD_MS=2)
    ledger = all_accepted(sampler, count)
    sampler.stop()
    publisher.stop()
    assert Database(publisher.outbox_path).count() == count
    centre.inside.start()
    return publisher.outbox_path, ledger


def stored(lab, topic):
    sql = "SELECT count(*), count(DISTINCT ts) FROM reading JOIN sensor ON sensor.id = sensor WHERE topic = ?"
    (counts,) = lab.database.query(sql, topic)
    return counts


def test_with_the_right_all_arrives_under_the_old_name(lab, local, make_centre):
    """Exactly once, and what is new under the new name."""
    centre = make_centre(["old"])
    outbox, old = fill_outbox(lab, local, centre)
    ingest = centre.ingest()
    publisher = centre.publisher(local, "new", OUTBOX=outbox)
    sampler = lab.sampler(local, "bench=sim@2,count=40", PERIOD_MS=2)
    new = all_accepted(sampler, 40)
    eventually(lambda: lab.database.rows() == old.rows() + new.rows(), "all is stored, once")
    eventually(lambda: Database(outbox).count() == 0, "the outbox is empty")
    assert stored(lab, "/data/old") == (KEPT, KEPT)
    assert stored(lab, "/data/new") == (40, 40)
    publisher.wait_healthy()
    ingest.wait_healthy()
    assert centre.denied() == []


def test_without_the_right_it_is_kept_and_asked_for_again(lab, local, make_centre):
    """New readings are not held up, health and log say what to do, and once it is done all arrives."""
    centre = make_centre([])
    outbox, old = fill_outbox(lab, local, centre)
    centre.ingest()
    publisher = centre.publisher(local, "new", OUTBOX=outbox, healthy=False, BATCH_SIZE=1, SPILL_AFTER_MS=60000)
    advice = "make provision-node NODE=new WAS=old"

    def unwell():
        code, line = publisher.health()
        assert code == 1 and advice in line, line
        return True

    eventually(unwell, "health says what to do")
    sampler = lab.sampler(local, "bench=sim@2,count=300", PERIOD_MS=2)
    new = all_accepted(sampler, 300)
    eventually(lambda: lab.database.rows() == new.rows(), "what is new is stored, nothing else")
    # Asked for once more, by one message, and refused.
    first = len(centre.denied())
    eventually(lambda: len(centre.denied()) > first, "it is asked for again", 60)
    assert len(centre.denied()) == first + 1
    assert Database(outbox).count() == KEPT
    unwell()
    told = [e for e in publisher.events() if advice in e.get("advice", "")]
    assert len(told) == 1 and told[0]["level"] == "error"
    assert "does not answer" not in publisher.stderr()
    centre.grant("new", "publishClientSend", "/data/old/batch")
    centre.grant("new", "publishClientReceive", "ack/old/+")
    eventually(lambda: lab.database.rows() == old.rows() + new.rows(), "all is stored, once", 60)
    eventually(lambda: Database(outbox).count() == 0, "the outbox is empty")
    assert stored(lab, "/data/old") == (KEPT, KEPT)
    publisher.wait_healthy()


def test_a_sampler_that_goes_on(lab, local, make_centre):
    """Only the publisher is started anew: of one stream nothing is missing or stored twice."""
    centre = make_centre(["old"])
    centre.ingest()
    publisher = centre.publisher(local, "old")
    sampler = lab.sampler(local, "bench=sim@1,count=400", PERIOD_MS=10)
    eventually(lambda: lab.database.count() > 50, "readings flow")
    publisher.stop()
    centre.publisher(local, "new", OUTBOX=publisher.outbox_path)
    ledger = all_accepted(sampler, 400)
    eventually(lambda: lab.database.rows() == ledger.rows(), "all is stored, once")
