"""retention-pruner: what is older than RETENTION goes, the rest stays."""

import time

from harness import Peer, eventually
from harness.peer import new_stream, senml

DAY_S = 86400


def at(age_s, value):
    """One reading of this age."""
    time_s = int(time.time()) - age_s
    return [{"bn": "climate/", "bt": time_s, "n": "temperature", "u": "Cel", "v": value}]


def temperatures(lab):
    return sorted(values["temperature"] for _, _, values in lab.database.readings())


def store(lab, central, readings):
    lab.ingest(central)
    stream = new_stream()
    assert "stored" in Peer(lab.client(central)).ask(stream, 1, senml(readings), len(readings))
    return stream


def test_old_readings_go_and_young_ones_stay(lab, central):
    """RETENTION=raw:2d removes readings older than two days and nothing else."""
    store(lab, central, [at(10 * DAY_S, 1), at(3 * DAY_S, 2), at(DAY_S, 3), at(0, 4)])
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: temperatures(lab) == [3, 4], "the two old readings are gone")


def test_pruned_readings_do_not_come_back(lab, central):
    """A batch that is sent again after its readings were pruned is answered and not stored."""
    old = [at(10 * DAY_S, 1), at(10 * DAY_S, 2)]
    stream = store(lab, central, old)
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: lab.database.count() == 0, "they are gone")
    peer = Peer(lab.client(central))
    assert peer.ask(stream, 1, senml(old), 2)["stored"] == [[stream, 1, 2]]
    assert lab.database.count() == 0


def test_many_old_readings_go_while_new_ones_come(lab, central):
    """5,000 old readings go in steps; ingest goes on storing meanwhile."""
    lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    for first in range(1, 5001, 1000):
        batch = [at(10 * DAY_S, first + n) for n in range(1000)]
        assert "stored" in peer.ask(stream, first, senml(batch), 1000)
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    for seq in range(5001, 5051):
        assert "stored" in peer.ask(stream, seq, senml([at(0, seq)]), 1)
    eventually(lambda: temperatures(lab) == list(range(5001, 5051)), "only the new ones are left")


def test_pruning_needs_no_broker(lab, central):
    """The pruner tells its statistics to the broker; without it, old readings go all the same."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    central.kill()
    lab.pruner(central, healthy=False, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: temperatures(lab) == [2], "the old reading is gone")


def test_two_pruners_share_one_lease(lab, central):
    """Scaled to two, both are healthy and one works; it gives the lease back when it stops."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    settings = {"RETENTION": "raw:2d", "PRUNE_INTERVAL_S": 1}
    pruners = [lab.pruner(central, **settings), lab.pruner(central, **settings)]
    eventually(lambda: temperatures(lab) == [2], "the old reading is gone")
    peer = Peer(lab.client(central))
    assert "stored" in peer.ask(new_stream(), 1, senml([at(10 * DAY_S, 3)]), 1)
    eventually(lambda: temperatures(lab) == [2], "so is the next one")
    holder, number = lab.database.lease("prune")
    assert number == 1, "the lease has not changed hands"
    active = [p for p in pruners if p.settings["INSTANCE"] in holder]
    assert len(active) == 1, holder
    active[0].stop()
    assert lab.database.lease("prune") is None
